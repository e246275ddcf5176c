"""tools/bench: measures one thing at a time and says what it was measured on.

    established   packets of live TCP flows through the whole worker; peer: rte_acl with parse and forward
    new-flows     first packets: miss, lookup in N rules, insert; same peer
    lifecycle     whole TCP connections, SYN to last ACK in 8 packets, 2 s closing timer; same peer
    mixed         IMIX frames, one packet in twenty begins a connection; same peer
    latency       what the worker adds at half load, p50 and p99; peer: a control run. What sampling of latency costs
    flood         a SYN flood beside live traffic, and arbitrary headers against few allowed; peers: control runs
    workers       1, 2, 4 and 8 workers that hand packets over; peer: the same with flows on their owners' queues
    classify      the classifier alone over a ClassBench file or rules of a family; peer: rte_acl
    flow-index    find a flow and write its record; peer: rte_hash in bulk with a 64-byte record
    crafted-keys  the same where somebody has chosen the keys (Q11): same RSS hash; same buckets; peer: random keys
    flow-pages    all flows read in pages over the REST API, some ended by filter; peer: a control run without a reader
    ovs           established flows of ours beside connections of OVS-DPDK on the same CPU; at most 100k flows (root)
    patch         from a PATCH of one rule among many to its adoption, without packets; no peer
    plan          the semantic diff of a plan for random edits of one rule, the search for odd rules, and what a plan says
                  of recorded flows (--flows: how many); no peer
    policy-swap   what ten changes of policy and ten scrapes a second cost; peer: a control run without them
    records       flow records of a control plane on one core, from the rings to the disk; peer: the flow log's lines
    scrape        20 clients that scrape the metrics at 10 Hz; peer: a control run without them
    sets          members of a set that come and go, one at a time and poured, while packets flow; peer: a control run
    rejudge       how long until every live flow is judged again after a switch, and what that costs; peer: a control run
    end-to-end    iperf3, wrk and UDP over namespaces and the kernel's links, AF_XDP; peer: the kernel with nftables and conntrack (root)
    report        all that docs/PERFORMANCE.md tells, its table written anew, held against the baseline of this CPU
    compare       A.json B.json: two result files against each other; exit code 1 if a ratio got worse beyond noise

Figures are by thread CPU time; the wall's are beside them. Ours and the peer's runs alternate in one process."""
import argparse
import json
import os
import sys

from lab.names import ROOT, Trouble

from . import compare, end_to_end, environment, ovs, report, runner

_DEFAULT_FLOWS = {"established": "1M", "mixed": "100k", "latency": "100k", "flood": "100k", "workers": "100k", "scrape": "100k", "new-flows": "512k", "lifecycle": "64k", "flow-index": "1M", "crafted-keys": "4k", "flow-pages": "10M", "ovs": "100k", "plan": "1M", "policy-swap": "100k", "rejudge": "1M", "sets": "100k"}
_DEFAULT_RULES = {"established": "1k", "mixed": "1k", "latency": "1k", "flood": "1k", "workers": "1k", "scrape": "10k", "new-flows": "10k", "lifecycle": "10k", "classify": "1k", "flow-pages": "1k", "ovs": "1k", "patch": "10k", "plan": "10k", "policy-swap": "10k", "rejudge": "1k", "sets": "1k"}
_DEFAULT_COUNT = {"established": "4M", "mixed": "4M", "latency": "2M", "flood": "4M", "workers": "2M", "scrape": "16M", "lifecycle": "16M", "classify": "1M", "flow-index": "4M", "crafted-keys": "4M", "flow-pages": "16M", "ovs": "4M", "patch": "100", "plan": "200", "policy-swap": "16M", "records": "2M", "rejudge": "4M", "sets": "16M"}
_BENCHES = (
    "established", "new-flows", "lifecycle", "mixed", "latency", "flood", "workers", "classify", "flow-index", "crafted-keys", "flow-pages", "patch",
    "plan", "policy-swap", "scrape", "sets", "records", "rejudge",
)  # fmt: skip
_FAMILIES = ("acl", "fw", "ipc", "cloud")
_TRACES = ("uniform", "zipf", "worst")


def number(text):
    """`100`, `64k`, `1M`"""
    factor = {"k": 1_000, "M": 1_000_000}.get(text[-1:], 1)
    try:
        value = int(text[:-1] if factor > 1 else text) * factor
    except ValueError:
        value = 0
    if value <= 0:
        raise argparse.ArgumentTypeError(f"{text}: a number like 100, 64k or 10M is needed")
    return value


def parse(arguments):
    parser = argparse.ArgumentParser(prog="tools/bench", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", choices=(*_BENCHES, "end-to-end", "ovs", "report", "compare"), metavar="NAME", help="one of the above")
    parser.add_argument("files", nargs="*", metavar="FILE", help="compare: the two result files")
    parser.add_argument("--json", action="store_true", help="one line for the environment, one for each result")
    parser.add_argument("--runs", type=number, default=5, help="turns of ours and the peer's (5)")
    parser.add_argument("--flows", type=number, help="live flows; " + _said(_DEFAULT_FLOWS))
    parser.add_argument("--rules", type=number, help="made rules; " + _said(_DEFAULT_RULES))
    parser.add_argument("--members", type=number, default=2_000_000, help="sets: members of the set (2M)")
    parser.add_argument("--filters", help="classify, patch, plan: a ClassBench file, plain or .xz")
    parser.add_argument("--family", choices=_FAMILIES, help="classify, patch, plan: made rules in the shape of ClassBench's, or of a cloud's")
    parser.add_argument("--trace", choices=_TRACES, help="classify: packets without locality (uniform), skewed by Zipf's law, "
                        "or the dearest that a search finds in our own tables (worst)")  # fmt: skip
    parser.add_argument("--ipv6", action="store_true", help="classify: the same rules and packets in IPv6")
    parser.add_argument("--count", type=number, help="packets or lookups of a run, edits of patch and plan; " + _said(_DEFAULT_COUNT))
    parser.add_argument("--burst", type=number, default=32, help="classify: packets of a lookup, at most 64 (32)")
    parser.add_argument("--sw-csum", action="store_true", help="the source does not mark checksums as good")
    parser.add_argument("--stages", action="store_true", help="established, new-flows, lifecycle, mixed: cycles by stage too, the source's in rx and tx")
    parser.add_argument("--sw", action="store_true", help="classify: both sides without vector instructions")
    parser.add_argument("--seed", type=number, default=1, help="of orders and traces (1)")
    parser.add_argument("--cpu", type=int, help="the worker's; the last that we may use")
    parser.add_argument("--seconds", type=float, default=2.0, help="end-to-end: of a stream (2)")
    parser.add_argument("--lab", default="bench", help="end-to-end: name of the lab, at most 7 letters (bench)")
    parser.add_argument("--only", default="", help="report: only rows whose command has this in it; the document stays")
    parser.add_argument("--json-file", help="report: where the lines of JSON go (report.jsonl in the build folder)")
    parser.add_argument("--save-baseline", action="store_true", help="report: this CPU's baseline is from now on this one")
    parser.add_argument("--no-update", dest="update", action="store_false", help="report: docs/PERFORMANCE.md stays as it is")
    parser.add_argument("--build", default=runner.BUILD, help="folder of the programs (build-bench, a release)")
    parser.add_argument("--no-build", action="store_true", help="the programs are there already")
    options = parser.parse_args(arguments)
    if (len(options.files) == 2) != (options.name == "compare"):
        parser.error("compare takes two files, the others none")
    if options.filters and options.family:
        parser.error("--filters and --family are two ways to say the rules; give one")
    for option, names in (("filters", ("classify", "patch", "plan")), ("family", ("classify", "patch", "plan")), ("trace", ("classify",)), ("ipv6", ("classify",))):
        if getattr(options, option) and options.name not in names:
            parser.error(f"--{option} is for {' and '.join(names)}")
    return options


def _said(defaults):
    return ", ".join(f"{name} {value}" for name, value in defaults.items())


class Output:
    """Lines of JSON as they come, or a table for people."""

    def __init__(self, options):
        self.options = options
        self.results = 0
        self.described = False

    def describe(self, process):
        self.described = True
        found = environment.describe(self.options.build, process, runner.priority_possible())
        if self.options.json:
            print(json.dumps({"environment": found}), flush=True)
            return
        dirty = " (dirty)" if found["dirty"] else ""
        print(
            f"{found['cpu_model']}, {found['cores']} cores, load {found['load_average'][0]:.1f}, kernel {found['kernel']}\n"
            f"commit {found['commit']}{dirty}, {found.get('build_type')}, {found.get('compiler')}, DPDK {found.get('dpdk', '-')}, "
            f"huge pages {'yes' if found.get('dpdk_huge_pages') else 'no'}/{found['transparent_huge_pages']}"
        )
        print(f"{'what':<34}{'Mpps':>8}{'net':>8}{'cycles':>8}  {'peer':<24}{'Mpps':>8}{'ratio':>8}{'+-':>7}{'runs':>5}{'spread':>8}")

    def take(self, line):
        if "process" in line:
            self.describe(line["process"])
            return
        self.results += 1
        if self.options.json:
            print(json.dumps(line), flush=True)
        else:
            self.show(line)

    @staticmethod
    def show(line):
        def figure(name, digits=2):
            return f"{line[name]:.{digits}f}" if isinstance(line.get(name), (int, float)) else "-"

        print(
            f"{line['bench'] + ' ' + line['variant']:<34}{figure('mpps'):>8}{figure('net_mpps'):>8}{figure('cycles', 0):>8}  "
            f"{line['peer'] or '-':<24}{figure('peer_mpps'):>8}{figure('ratio'):>8}{figure('ratio_spread'):>7}"
            f"{line['runs']:>5}{figure('spread'):>8}"
        )
        known = {"bench", "variant", "mpps", "net_mpps", "cycles", "peer", "peer_mpps", "ratio", "ratio_spread", "runs", "spread"}
        rest = {**line.pop("params"), **{name: value for name, value in line.items() if name not in known}}
        print("    " + ", ".join(f"{name} {value}" for name, value in rest.items()), flush=True)


def program_options(options):
    def chosen(value, defaults):
        return value or number(defaults.get(options.name, "1"))

    return {
        "flows": chosen(options.flows, _DEFAULT_FLOWS),
        "rules": chosen(options.rules, _DEFAULT_RULES),
        "members": options.members,
        "runs": options.runs,
        "count": chosen(options.count, _DEFAULT_COUNT),
        "burst": options.burst,
        "seed": options.seed,
        "sw-csum": int(options.sw_csum),
        "scalar": int(options.sw),
        "family": options.family or "",
        "trace": options.trace or "uniform",
        "ipv6": int(options.ipv6),
        "stages": int(options.stages),
        "cpu": options.cpu if options.cpu is not None else max(os.sched_getaffinity(0)),
    }


def measure(options):
    output = Output(options)
    given = program_options(options)
    if options.filters:
        try:
            with runner.plain_filters(options.filters) as (path, rules):
                return start(options, output, {**given, "filters": path, "rules": rules})
        except OSError as problem:
            raise Trouble(f"{options.filters}: {problem}", "a ClassBench file, plain or .xz") from problem
    return start(options, output, given)


def start(options, output, given):
    mib = runner.memory_mib(options.name, given["rules"], given["flows"])
    runner.reserve_huge_pages(mib)
    code = runner.run(options.build, options.name, {**given, "memory-mib": mib}, output.take)
    if code == 0 and output.results == 0:
        raise Trouble("the program gave no result", "run it by hand")
    return code


def main(arguments):
    options = parse(arguments)
    if options.name == "compare":
        return compare.compare(*options.files)
    options.build = os.path.join(ROOT, options.build)
    try:
        if options.name == "report":
            return report.report(options)
        if options.name == "end-to-end":
            return end_to_end.measure(options, Output(options))
        if options.name == "ovs":
            return ovs.measure(options, Output(options), program_options(options))
        if not options.no_build:
            runner.build(options.build, "tests/bench/sluice_bench")
        return measure(options)
    except Trouble as trouble:
        print(f"tools/bench: {trouble.cause}; {trouble.cure}", file=sys.stderr)
        return 2
