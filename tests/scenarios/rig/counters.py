"""The dataplane's own counters, read by build/sluice-inspect as any inspector may: exact and at once."""
import json
import re

from lab.names import Trouble, binary
from lab.shell import run

# What scenarios speak about. Levels, loop counts and publishes are others' business.
_WANTED = {
    "rx_packets", "rx_bytes", "tx_packets", "tx_bytes", "originated", "forwarded", "consumed", "held", "drop",
    "flows_created", "flows_ended_by_policy", "flows_ended_by_request", "flows_kept_on_change",
    "rejects_limited", "rx_missed", "rule_hits", "udp_zero_csum6", "flow_reopen", "tcp_inexact_rst",
    "tcp_overshoot", "flow_pickup", "tcp_window_unknown", "tcp_seq_logged",
    "frag_reassembled", "frag_duplicates", "syn_early_drop", "closing_early_drop",
    "syn_cookies_sent", "syn_cookies_accepted", "syn_proxy_refused", "syn_proxy_data",
}  # fmt: skip
_BUILTINS = {"0": "default", "1": "builtin:arp", "2": "builtin:nd", "3": "builtin:other"}
_SLOT = re.compile(r'rule_hits\{slot="(\d+)"\}')


class Reader:
    def __init__(self, lab):
        self._argv = (binary("sluice-inspect"), "--socket", lab.tables_socket, "--json")
        self._rules = dict(_BUILTINS)

    def learn_rules(self):
        """Which rule has which slot: changes with the policy."""
        generation = json.loads(run(*self._argv, "generation").stdout)
        self._rules = {str(rule["slot"]): rule["id"] for rule in generation["rules"]} | _BUILTINS

    def __call__(self):
        # Exit code 1 says that it caught a moment of imbalance; the numbers are there all the same.
        done = run(*self._argv, "counters", check=False)
        if not done.stdout:
            raise Trouble(f"sluice-inspect: {done.stderr.strip()}", "is the dataplane running?")
        counters = {}
        for name, value in json.loads(done.stdout)["counters"].items():
            base = name.partition("{")[0]
            if base not in _WANTED:
                continue
            if found := _SLOT.fullmatch(name):
                name = f'rule_hits{{rule="{self._rules.get(found[1], "slot " + found[1])}"}}'
            elif "worker=" in name:
                name = base
            counters[name] = counters.get(name, 0) + value
        return counters
