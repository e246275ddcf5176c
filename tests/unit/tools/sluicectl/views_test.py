"""What sluicectl shows, of the real REST server: tables, JSON and YAML, flows of now, of the past and as they happen."""
import json
import pathlib
import subprocess
import sys
import time
import unittest

import yaml

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from ctl_case import HANG_LIMIT_S, SLUICECTL, Case, wait_until  # noqa: E402


class ViewCommands(Case):
    def test_status(self):
        self.run_ctl("apply", "-f", self.file("a"))
        text = self.run_ctl("status").stdout
        self.assertIn("ready      yes\n", text)
        self.assertIn("flows      250 of 1,048,576, half-open 0 of 262,144; the last restart kept 240 and lost 3\n", text)
        self.assertIn("outside  internet  up         1,000         900    100\n", text)
        self.assertNotIn("flow log", text)
        self.server.tell("flow-log cannot write flows.jsonl: No space left on device")
        lost = "flow log   loses lines: cannot write flows.jsonl: No space left on device\n"
        wait_until(lambda: lost in self.run_ctl("status").stdout)
        self.assertNotIn("records ", text)
        self.server.tell("records cannot write 42.flows: No space left on device")
        records = "records    are being lost: cannot write 42.flows: No space left on device\n"
        wait_until(lambda: records in self.run_ctl("status").stdout)
        self.assertIn("ready      yes\n", self.run_ctl("status").stdout)
        self.server.tell("not-ready no dataplane is connected")
        wait_until(lambda: "ready      no: no dataplane is connected" in self.run_ctl("status").stdout)
        self.assertFalse(json.loads(self.run_ctl("status", "-o", "json").stdout)["ready"])

    def test_workers_tell_what_they_measured(self):
        self.assertEqual(self.run_ctl("get", "workers").stdout,
                         "WORKER  MEASURED  P50 US  P99 US    RX  PARSE  TRACK  CLASSIFY  ADMIT   ACT    TX\n"
                         "0          1,234     4.2       -  20.0   15.0   72.0         -    0.0  12.0  31.0\n"
                         "cycles per packet by stage; of the last ten to twenty seconds\n")
        (worker,) = json.loads(self.run_ctl("get", "workers", "-o", "json").stdout)
        self.assertEqual(worker["latency"], {"packets": 1234, "p50_us": 4.2, "p99_us": None})
        self.assertIn("P99 US", self.run_ctl("status").stdout)

    def test_tables_are_aligned(self):
        for arguments in (("get", "rules"), ("get", "flows", "--limit", "20"), ("flows", "--limit", "20")):
            lines = self.run_ctl(*arguments).stdout.splitlines()
            self.assertEqual(len({len(line) for line in lines}), 1, arguments)
        rules = self.run_ctl("get", "rules").stdout
        self.assertIn("web-in     allow         enforce    12    3,400  5.3 MiB", rules)
        self.assertIn("ping-in    pass -> deny  enforce", rules)
        self.assertIn("never", rules)

    def test_drops_by_reason(self):
        self.assertEqual(self.run_ctl("get", "drops").stdout,
                         "PORT     REASON       PACKETS\noutside  policy_deny    4,711\ninside   no_policy          2\n")
        self.assertEqual(json.loads(self.run_ctl("get", "drops", "-o", "json").stdout)[1],
                         {"port": "inside", "reason": "no_policy", "packets": 2})

    def test_flows_by_filter(self):
        some = json.loads(self.run_ctl("flows", "--filter", "worker==1", "-o", "json").stdout)
        self.assertEqual(len(some["flows"]), 50)
        wrong = self.run_ctl("flows", "--filter", "no such", code=1)
        self.assertIn("column 1", wrong.stderr)
        self.assertIn("all allowed ones", self.run_ctl("flows", "--verdict", "deny", code=1).stderr)
        self.assertIn("column", self.run_ctl("flows", "-f", "--filter", "worker==1", code=1).stderr)
        wide = self.run_ctl("flows", "-o", "wide").stdout.splitlines()
        self.assertRegex(wide[0], r"AGE +IDLE +FROM +TO +GENERATION +WORKER$")
        self.assertRegex(wide[1], r"internet +servers +\d+ +\d+$")

    def test_recorded_flows(self):
        lines = self.run_ctl("flows", "--since", "1h").stdout.splitlines()
        self.assertEqual(len(lines), 4500)
        self.assertEqual(lines[1].split(), ["2026-11-26", "05:00:00.000", "deny", "tcp", "198.51.100.7:1", "->", "198.51.100.80:443",
                                            "default", "internet->servers"])
        records = [json.loads(line) for line in self.run_ctl("flows", "--until", "2026-11-26T05:00:00Z", "-o", "json").stdout.splitlines()]
        self.assertEqual([record["sport"] for record in records], list(range(4500)))
        some = self.run_ctl("flows", "--since", "1h", "--filter", "rule==web-in", "--limit", "7", "-o", "json")
        self.assertEqual([json.loads(line)["sport"] for line in some.stdout.splitlines()], [0, 2, 4, 6, 8, 10, 12])
        self.assertIn("more records", some.stderr)
        self.assertIn("3 records are missing: 2 blocks of the store are damaged", self.run_ctl("flows", "--since", "damage").stderr)
        self.assertIn('since is "nonsense", which is no time; write 2026-', self.run_ctl("flows", "--since", "nonsense", code=1).stderr)
        self.assertIn("leave out -f", self.run_ctl("flows", "-f", "--until", "1h", code=1).stderr)
        newest = self.run_ctl("flows", "--last", "3", "-o", "json").stdout.splitlines()
        self.assertEqual([json.loads(line)["sport"] for line in newest], [4497, 4498, 4499])
        self.assertIn("give one", self.run_ctl("flows", "--last", "3", "--limit", "3", code=1).stderr)
        denied = self.run_ctl("flows", "--since", "1h", "--verdict", "deny", "--from", "198.51.100.0/24", "--filter", "dport==443", code=1)
        self.assertIn("not this filter: verdict==deny and src==198.51.100.0/24 and dport==443", denied.stderr)

    def test_flows_are_ended(self):
        self.assertEqual(self.run_ctl("flows", "end", "--filter", "worker==1").stdout, "ended 50 flows\n")
        rest = self.run_ctl("flows", "end", "--all", "--answer")
        self.assertEqual((rest.stdout, "time ran out" in rest.stderr), ("ended 250 flows\n", True))
        self.assertEqual(json.loads(self.run_ctl("flows", "end", "--all", "-o", "json").stdout),
                         {"ended": 250, "complete": True})
        self.assertIn("all=true", self.run_ctl("flows", "end", code=1).stderr)
        narrowed = self.run_ctl("flows", "end", "--filter", "worker==1", "--from", "10.0.0.5", code=1).stderr
        self.assertIn("not this filter", narrowed, "the server of these tests knows worker==1 alone")
        self.assertIn("every flow", self.run_ctl("flows", "end", "--all", "--from", "10.0.0.5", code=1).stderr)
        for option in (("--since", "1h"), ("--until", "1h"), ("-f",), ("--verdict", "allow"), ("--limit", "5"), ("--last", "5")):
            self.assertIn("leave out", self.run_ctl("flows", "end", "--all", *option, code=1).stderr)

    def test_flows_by_pages(self):
        everything = json.loads(self.run_ctl("get", "flows", "-o", "json", "--limit", "100000").stdout)
        self.assertEqual((len(everything["flows"]), everything["next"]), (250, None))
        some = self.run_ctl("get", "flows", "--limit", "7")
        self.assertEqual(len(some.stdout.splitlines()), 8)
        self.assertIn("more flows", some.stderr)

    def test_a_member_that_blocks_nobody_is_warned_of(self):
        said = self.run_ctl("set", "add", "blocked", "198.51.100.7", "203.0.113.129")
        self.assertEqual(said.stdout, "2 added, 0 removed, 2 members\n")
        self.assertEqual(said.stderr, "warning: 203.0.113.129 stands in it\n")
        self.assertEqual(self.run_ctl("set", "remove", "blocked", "198.51.100.7", "203.0.113.129").stderr, "")

    def test_explain(self):
        for arguments in (("outside", "198.51.100.7", "198.51.100.80:443/tcp"), ("--in", "outside", "198.51.100.7:50000", "198.51.100.80:443/tcp"),
                          ("outside", "2001:db8::7", "[2001:db8::80]:443/tcp"), ("outside", "[2001:db8::7]:50000", "[2001:db8::80]:443/tcp")):
            self.assertEqual(self.run_ctl("explain", *arguments).stdout, "allow  by web-in  (internet -> servers)\n")
        for destination in ("198.51.100.80/icmp", "198.51.100.80/icmp/echo-request", "198.51.100.80/icmp/3/4", "198.51.100.80/proto/47"):
            self.assertIn("deny  by default", self.run_ctl("explain", "outside", "198.51.100.7", destination).stdout)
        self.assertIn("\nweb-in   service\n", self.run_ctl("explain", "outside", "198.51.100.7", "198.51.100.80:22/tcp").stdout)
        left_out = self.run_ctl("explain", "outside", "198.51.100.7", "198.51.100.80:444/tcp").stdout
        self.assertIn("\nbut-ops     from: not ops\n", left_out)
        self.assertIn("\nblocked-in  from: never_block\n", left_out)
        self.assertIn("\nrule friends passed it to a later layer\n", self.run_ctl("explain", "outside", "198.51.100.7", "198.51.100.80:444/tcp").stdout)
        for destination in ("198.51.100.80", "198.51.100.80/tcp", "198.51.100.80:443", "2001:db8::80:443/tcp", "198.51.100.80:99999/tcp",
                            "198.51.100.80:53/icmp", "198.51.100.80/sctp", "198.51.100.80/icmp/999", "shop:443/tcp", "198.51.100.80/proto/x"):
            self.assertIn("write 198.51.100.80:443/tcp", self.run_ctl("explain", "outside", "198.51.100.7", destination, code=1).stderr)
        self.assertIn('there is no port "wan9"', self.run_ctl("explain", "wan9", "198.51.100.7", "198.51.100.80:443/tcp", code=1).stderr)

    def test_follow(self):
        follower = subprocess.Popen([SLUICECTL, "flows", "-f", "--verdict", "deny"], stdout=subprocess.PIPE, text=True, env=self.environment)
        quiet = subprocess.Popen([SLUICECTL, "flows", "-f", "-o", "json"], stdout=subprocess.PIPE, text=True, env=self.environment)
        wait_until(lambda: json.loads(self.run_ctl("status", "-o", "json").stdout)["api"]["event_streams"] == 2)
        self.server.tell("events 4")
        lines = [follower.stdout.readline() for _ in range(2)]
        for line in lines:
            self.assertIn("deny    tcp       198.51.100.7:40000    -> 198.51.100.80:443      default", line)
        self.assertEqual([json.loads(quiet.stdout.readline())["verdict"] for _ in range(4)], ["allow", "deny", "allow", "deny"])
        for process in (follower, quiet):
            process.terminate()
            process.wait(HANG_LIMIT_S)
            process.stdout.close()

    def test_follow_goes_on_behind_what_was_recorded(self):
        follower = subprocess.Popen([SLUICECTL, "flows", "-f", "--since", "1h", "--from", "198.51.100.0/24", "--filter", "rule==web-in", "--limit", "1"],
                                    stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=self.environment)
        self.assertIn("not this filter", follower.communicate(timeout=HANG_LIMIT_S)[1])  # the double knows one filter only
        follower = subprocess.Popen([SLUICECTL, "flows", "-f", "--since", "1h", "--filter", "rule==web-in", "--limit", "2"],
                                    stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=self.environment)
        self.assertEqual([follower.stdout.readline().split()[3] for _ in range(2)], ["tcp"] * 2)
        self.server.tell("events 4")
        for _ in range(2):  # of web-in; the other two are the default's
            self.assertIn("198.51.100.7:40000", follower.stdout.readline())
        follower.terminate()
        follower.wait(HANG_LIMIT_S)
        follower.stdout.close()

    def test_top_of_rules_talkers_and_ports(self):
        rules = self.run_ctl("top", "rules", "--by", "bytes", "-n", "1").stdout.splitlines()
        self.assertRegex(rules[0], r"^RULE +FLOWS +PACKETS +BYTES$")
        self.assertEqual(len(rules), 2)
        talkers = json.loads(self.run_ctl("top", "talkers", "-n", "1000", "-o", "json").stdout)
        self.assertEqual(sum(row["flows"] for row in talkers), 250)
        self.assertEqual([row["flows"] for row in talkers], sorted((row["flows"] for row in talkers), reverse=True))
        ports = json.loads(self.run_ctl("top", "ports", "--since", "1h", "-o", "json").stdout)
        self.assertEqual(ports, [{"name": "tcp/443", "flows": 4500, "packets": 0, "bytes": 0}])
        self.assertEqual(json.loads(self.run_ctl("top", "rules", "--since", "1h", "--filter", "rule==web-in", "-o", "json").stdout)[0]["flows"], 2250)
        self.run_ctl("top", "everything", code=None)
        self.assertEqual(json.loads(self.run_ctl("top", "ports", "--since", "kinds", "-o", "json").stdout)[0]["flows"], 1, "and no other event")

    def test_options_may_stand_in_front_of_the_command(self):
        self.assertIn("generation 1", self.run_ctl("--idempotency-key", "plan", "--reason=x", "apply", "-f", self.file("a")).stdout)
        self.assertIn('"aply" is no command', self.run_ctl("--idempotency-key", "k", "aply", code=1).stderr)

    def test_block_puts_into_a_set_that_the_policy_asks(self):
        said = self.run_ctl("block", "198.51.100.9", "2001:db8::/48", "--for", "1h", "--reason", "INC-9")
        self.assertEqual(said.stdout, "2 added, 0 removed, 2 members\n")
        self.assertIn("198.51.100.9", self.run_ctl("set", "list", "blocked").stdout)
        self.assertIn("blocked", self.run_ctl("get", "sets").stdout)
        wrong = self.run_ctl("block", "198.51.100.9", "--set", "nowhere", code=1).stderr
        self.assertIn('no rule refuses members of a set "nowhere" that come over the API; take one of blocked', wrong)

    def test_answers_as_yaml(self):
        as_json = json.loads(self.run_ctl("get", "flows", "-o", "json").stdout)
        self.assertEqual(yaml.safe_load(self.run_ctl("get", "flows", "-o", "yaml").stdout), as_json)
        self.run_ctl("apply", "-f", self.file("a"))
        self.assertEqual(yaml.safe_load(self.run_ctl("commit", "-o", "yaml").stdout)["state"], "adopted")
        records = list(yaml.safe_load_all(self.run_ctl("flows", "--since", "1h", "--limit", "3", "-o", "yaml").stdout))
        self.assertEqual([record["sport"] for record in records], [0, 1, 2])

    def test_watch_shows_it_again_and_again(self):
        watcher = subprocess.Popen([SLUICECTL, "get", "rules", "-w", "--every", "1"], stdout=subprocess.PIPE, text=True, env=self.environment)
        titles = 0
        while titles < 2:
            line = watcher.stdout.readline()
            self.assertTrue(line)
            titles += line.startswith("RULE")
        watcher.terminate()
        watcher.wait(HANG_LIMIT_S)
        watcher.stdout.close()

    def test_colours_are_for_terminals_and_no_color_is_kept_to(self):
        def shown(**more):
            script = "import pty, sys; sys.exit(pty.spawn(sys.argv[1:]) >> 8)"
            return subprocess.run([sys.executable, "-c", script, SLUICECTL, "get", "rules"], capture_output=True, text=True, timeout=HANG_LIMIT_S,
                                  check=True, env={**self.environment, **more}).stdout
        self.assertIn("\x1b[", shown())
        self.assertNotIn("\x1b[", shown(NO_COLOR="1"))
        self.assertIn("\x1b[", shown(NO_COLOR=""))

    def test_what_stays_wrong_is_not_watched(self):
        self.assertIn("not this filter", self.run_ctl("top", "ports", "-w", "--since", "1h", "--filter", "bad", code=1).stderr)
        empty = self.file("", "token")
        self.assertIn("it is empty", self.run_ctl("status", "--token-file", empty, code=1).stderr)

    def test_watch_tells_what_becomes_of_the_policy(self):
        watcher = subprocess.Popen([SLUICECTL, "watch"], stdout=subprocess.PIPE, text=True, env=self.environment)
        wait_until(lambda: json.loads(self.run_ctl("status", "-o", "json").stdout)["api"]["event_streams"] == 1)
        self.server.tell("events 4")  # of flows: not asked for
        self.run_ctl("apply", "-f", self.file("a"), "--reason", "CHG-20418")
        lines = [watcher.stdout.readline(), watcher.stdout.readline()]
        for line, result in zip(lines, ("begun", "adopted")):
            self.assertRegex(line, r'^\d{4}-\d\d-\d\d [\d:.]{12}  policy\.put +' + result + r' .*  by token:first-start/0{8}  "CHG-20418"')
        watcher.terminate()
        watcher.wait(HANG_LIMIT_S)
        watcher.stdout.close()


if __name__ == "__main__":
    unittest.main()
