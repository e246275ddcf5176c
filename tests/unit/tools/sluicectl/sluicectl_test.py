"""The sluicectl binary against the real REST server: what changes something, what it prints where, and its exit codes."""
import datetime
import json
import os
import pathlib
import re
import sys
import tarfile
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from ctl_case import SERVER, Case, Server  # noqa: E402


class PolicyCommands(Case):
    def test_plan_tells_by_its_exit_code(self):
        good = self.file("name: demo\nrule web-in\n")
        run = self.run_ctl("plan", "-f", good, code=2)
        self.assertNotIn("findings", run.stdout)
        self.assertIn("+ rule web-in  action allow\ntests 2 passed, 0 failed\nplan demo@", run.stdout)
        self.run_ctl("apply", "-f", good)
        self.assertIn(": no changes", self.run_ctl("plan", "-f", good, code=0).stdout)
        other = self.file("name: demo\nrule new\n", "other.yaml")
        run = self.run_ctl("plan", "-f", other, code=2)
        self.assertIn("+ rule new  action allow\n- rule web-in\n", run.stdout)
        self.assertTrue(json.loads(self.run_ctl("plan", "-f", other, "-o", "json", code=2).stdout)["ok"])
        opened = self.run_ctl("plan", "-f", self.file("rule web-in\nOPENED\n", "opened.yaml"), code=2).stdout
        self.assertIn("~ set shop  + 0.0.0.0/0\n^ rule b  place: behind a -> first\n", opened)
        self.assertIn("0 to add, 1 to change, 1 to move, 0 to remove", opened)
        self.assertNotIn("compared with", opened)
        self.assertIn(
            "packets that get another verdict\n"
            "  deny -> allow    internet -> servers 198.51.100.81, 198.51.100.96/28, a, b and 2 more  tcp/443  (default -> web-in)\n"
            "                   e.g. explain outside 203.0.113.7 198.51.100.81:443/tcp\n"
            "  gave up: packets of rule wide may change beyond these boxes\n"
            "packets with the same verdict, counted or logged otherwise: 1 box, see -o json\n", opened)
        place = self.folder.name + "/opened.yaml:14:5: rule \"b\" is odd; remove it\n"
        self.assertIn(
            "findings\n  " + place + "  " + place + "                   e.g. explain outside 2001:db8:51:: 2001:db8:51::/proto/47\n  " + place
            + "                   e.g. explain outside 2001:db8:51:: [2001:db8:51::]:22/tcp\n", opened)
        self.assertIn("  contradictions were not looked for to the end in 3 of 9 rules\n", opened)
        self.assertIn("  and 2 more, see -o json\n  1 rule never hit in 1d 2h: b\n  2 of 9 rules were not examined to the end", opened)
        self.assertIn(
            "17 of 60 live flows lose their rule (11 kept, 4 cut, 2 answered)\n"
            "  allow -> reject  17 flows  web-in -> ssh-no  from 198.51.100.7 (14), others (3)\n"
            "                   e.g. explain outside 203.0.113.7 198.51.100.81:443/tcp\n"
            "1204 of 88310 flows recorded since 2026-11-18T11:06:40.000Z would change verdict\n"
            "  allow -> reject  1204 flows  web-in -> ssh-no  from 198.51.100.7 (14), others (1190)\n"
            "                   e.g. explain outside 203.0.113.7 198.51.100.81:443/tcp\n"
            "  and 4 pairs of rules more, see -o json\n"
            "  5 flows of ports or zones that are no more: nobody can tell\n"
            "  not all: there was no time for the newest records\n"
            "  7 events were sampled away before they were recorded\n"
            "  2 records that can't be read\n", opened)
        self.assertNotIn("live flows", self.run_ctl("plan", "-f", other, "--no-flows", code=2).stdout)
        self.assertIn("flows_since is a time", self.run_ctl("plan", "-f", other, "--flows-since", "yesterday", code=1).stderr)
        self.run_ctl("apply", "-f", other, "--confirm", "10m")
        self.assertRegex(self.run_ctl("plan", "-f", good, code=None).stdout, r"compared with the stored policy demo@[0-9a-f]{6}; demo@\w+ waits for confirmation\n")

    def test_errors_have_file_line_and_column(self):
        broken, failing, warned = self.file("BROKEN", "b.yaml"), self.file("TESTFAIL", "t.yaml"), self.file("WARN", "w.yaml")
        line = broken + ':3:9: zone "dzm" is not defined; did you mean "dmz"?\n'
        run = self.run_ctl("plan", "-f", broken, code=1)
        self.assertTrue(run.stderr.startswith(line))
        self.assertEqual(run.stdout, "")
        run = self.run_ctl("apply", "-f", broken, code=1)
        self.assertTrue(run.stderr.startswith(line))
        self.assertTrue(run.stderr.endswith("\nsluicectl: 2 errors in the policy\n"))
        empty = os.path.join(os.path.dirname(broken), "empty")
        os.mkdir(empty)
        said = self.run_ctl("plan", "-f", empty, code=1).stderr
        self.assertEqual(said, f"sluicectl: {empty}: no .yaml, .yml or .json in this folder; name the policy's files\n")
        run = self.run_ctl("plan", "-f", failing, code=1)
        self.assertIn(failing + ":12:5: test 198.51.100.7@internet -> 198.51.100.80:443/tcp: expected allow by web-in, got deny by default; correct", run.stderr)
        self.assertIn(failing + ":13:5: test 198.51.100.7@internet -> 198.51.100.80:443/tcp 100/s: expected deny by web-in at limit zone, "
                      "got deny by web-in at limit new_per_second_per_source; correct", run.stderr)
        self.assertIn(warned + ':4:3: set "web" is not used; remove it\n', self.run_ctl("plan", "-f", warned, code=2).stderr)
        self.run_ctl("get", "policy", code=1)  # nothing was applied

    def test_several_files_are_one_policy(self):
        base = self.file("sluice: 1\nname: demo\ndefault: {action: deny}\nrules:\n  - {id: web-in, from: any, to: any, action: allow}\n", "50.yaml")
        guard = self.file("sluice: 1\nname: guard\nlayer: 10\nrules:\n  - {id: stop, from: any, to: any, action: deny}\n", "10.yaml")
        self.run_ctl("apply", "-f", base, "-f", guard)
        text = self.run_ctl("get", "policy").stdout
        self.assertLess(text.index("id: stop"), text.index("id: web-in"))
        self.assertIn("action: deny, layer: 10}", text)
        again = self.run_ctl("plan", "-f", os.path.dirname(base), code=0).stdout
        self.assertIn(": no changes", again)
        other = self.file("sluice: 1\nname: other\ndefault: {action: allow}\n", "20.yaml")
        said = self.run_ctl("apply", "-f", base, "-f", other, code=1).stderr
        self.assertTrue(said.startswith(f"{other}:3:1: default stands at {base}:3:1 too"), said)

    def test_apply_sends_the_right_precondition(self):
        first, second = self.file("a", "a.yaml"), self.file("b", "b.yaml")
        self.assertRegex(self.run_ctl("apply", "-f", first, "--base", "none").stdout, r"^policy demo@[0-9a-f]{6}  generation 1  2/2 tests\n$")
        self.assertIn("a policy is stored already", self.run_ctl("apply", "-f", second, "--base", "none", code=1).stderr)
        self.assertIn("generation 2", self.run_ctl("apply", "-f", second).stdout)
        self.assertIn("unchanged", self.run_ctl("apply", "-f", second).stdout)
        self.assertEqual(self.run_ctl("get", "policy").stdout, "b\n")
        self.assertEqual(json.loads(self.run_ctl("get", "policy", "-o", "json").stdout)["text"], "b")
        self.run_ctl("apply", "-f", "-", stdin='{"json": true}')
        self.assertEqual(json.loads(self.run_ctl("get", "policy", "-o", "json").stdout)["format"], "json")
        self.assertEqual(self.run_ctl("get", "policy", "-o", "yaml").stdout, "---\njson: true\n")
        self.assertIn("no dataplane", self.run_ctl("apply", "-f", self.file("NODATAPLANE"), code=1).stderr)
        self.assertIn("adopted by all but: worker 1 (lcore 3)", self.run_ctl("apply", "-f", self.file("STALL")).stderr)
        self.assertIn("cannot read it", self.run_ctl("apply", "-f", "/does/not/exist", code=1).stderr)

    def test_what_others_changed_since_the_plan_is_not_overwritten(self):
        mine, theirs = self.file("mine", "mine.yaml"), self.file("theirs", "theirs.yaml")
        self.assertIn(f"apply -f {mine} --base none --confirm", self.run_ctl("plan", "-f", mine, code=2).stdout)
        self.run_ctl("apply", "-f", self.file("first", "first.yaml"))
        planned = re.search(r"--base ([0-9a-f]{8}) ", self.run_ctl("plan", "-f", mine, code=2).stdout)[1]
        self.run_ctl("apply", "-f", theirs, "--base", planned)
        self.assertIn("changed since", self.run_ctl("apply", "-f", mine, "--base", planned, code=1).stderr)
        self.assertIn("changed since", self.run_ctl("rollback", "1", "--base", planned, code=1).stderr)
        self.assertIn("changed since", self.run_ctl("patch", "-f", self.file("[]", "e.json"), "--base", planned, code=1).stderr)
        self.assertEqual(self.run_ctl("get", "policy").stdout, "theirs\n")
        keyed = ("apply", "-f", mine, "--idempotency-key", "k", "--base", re.search(r"--base (\w+) ", self.run_ctl("plan", "-f", mine, code=2).stdout)[1])
        self.assertEqual(self.run_ctl(*keyed).stdout, self.run_ctl(*keyed).stdout)
        for wrong in ("7c1e", "theirs", '"7c1e7c1e"'):
            self.assertIn("is no hash of a policy", self.run_ctl("apply", "-f", mine, "--base", wrong, code=1).stderr)
        for option in (("--base", planned), ("--force",), ("--break-glass",), ("--guard", "drop-rate=5")):
            self.assertIn("need a generation", self.run_ctl("rollback", *option, code=1).stderr)

    def test_a_freeze_is_shown_set_and_lifted(self):
        self.assertEqual(self.run_ctl("freeze", "show").stdout, "policies may be changed\n")
        soon = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 3600))
        self.assertIn("Sluice-Reason", self.run_ctl("freeze", "set", soon, code=1).stderr)
        said = self.run_ctl("freeze", "set", soon, "--reason", "year's end").stdout
        self.assertRegex(said, r"^policies must not be changed from \S+Z until \S+Z: year's end \(token:first-start/")
        later = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 1800))
        self.assertIn("policies will not be changed", self.run_ctl("freeze", "set", soon, "--from", later, "--reason", "x").stdout)
        self.assertFalse(json.loads(self.run_ctl("freeze", "show", "-o", "json").stdout)["frozen"])
        self.assertEqual(self.run_ctl("freeze", "lift").stdout, "policies may be changed\n")
        self.assertIn("says why", self.run_ctl("apply", "-f", self.file("a"), "--break-glass", code=1).stderr)
        run = self.run_ctl("apply", "-f", self.file("a"), "--break-glass", "--reason", "INC-7", "--idempotency-key", "k")
        self.assertEqual(self.run_ctl("apply", "-f", self.file("a"), "--reason", "INC-7", "--idempotency-key", "k").stdout, run.stdout)

    def test_who_is_told_to_wait_waits(self):
        server = Server(SERVER, requests_per_second=1)
        self.addCleanup(server.close)
        where = {"SLUICE_URL": "https://127.0.0.1:%d" % server.port, "SLUICE_CA": str(server.dir / "ca.pem"), "SLUICE_TOKEN_FILE": str(server.dir / "token")}
        begun = time.monotonic()
        for _ in range(5):  # two at once, then one a second
            self.run_ctl("shadow", "show", environment=where)
        self.assertGreater(time.monotonic() - begun, 1.5)

    def test_a_shadow_is_started_shown_and_stopped(self):
        self.assertEqual(self.run_ctl("shadow", "show").stdout, "no shadow policy runs\n")
        self.assertIn("no shadow policy runs", self.run_ctl("shadow", "stop", code=1).stderr)
        self.assertIn("-f FILE, or --draft NAME", self.run_ctl("shadow", "start", code=1).stderr)
        policy = self.file("rule web-in\n")
        self.assertIn("-f FILE, or --draft NAME", self.run_ctl("shadow", "start", "-f", policy, "--draft", "web", code=1).stderr)
        broken = self.file("BROKEN", "broken.yaml")
        self.assertIn(broken + ":3:9: ", self.run_ctl("shadow", "start", "-f", broken, code=1).stderr)
        started = self.run_ctl("shadow", "start", "-f", policy, "--reason", "CHG-1").stdout
        self.assertRegex(started, r"^shadow     demo@\w{6}  is asked\nstarted    \S+Z by token:first-start/\w+: CHG-1\n")
        shown = self.run_ctl("shadow", "show").stdout
        for words in ("asked      about 1,204 new flows since ", "not seen   40 sampled away, 3 or fewer lost in the rings, 2 faster than it can be asked, 1 from a port without a place in it\n",
                      "otherwise  2 would have got another verdict, 7 the same by another rule\n", "         2  allow by web-in, would be deny by default\n",
                      "198.51.100.7:40000 -> 198.51.100.80:443 tcp  in outside  ", " icmp 8/0  in outside  "):
            self.assertIn(words, shown)
        self.assertEqual(json.loads(self.run_ctl("shadow", "show", "-o", "json").stdout)["shadow"]["unseen"]["total"], 46)
        self.run_ctl("draft", "save", "web", "-f", policy)
        self.assertIn(", draft web\n", self.run_ctl("shadow", "start", "--draft", "web").stdout)
        self.assertIn("is no name of a draft", self.run_ctl("shadow", "start", "--draft", "../x", code=1).stderr)
        self.assertIn("no longer asked; what it had counted:\nshadow     demo@", self.run_ctl("shadow", "stop").stdout)

    def test_a_draft_is_saved_planned_applied_and_deleted(self):
        self.run_ctl("apply", "-f", self.file("rule web-in\n"))
        draft = self.file("rule web-in\nrule new\n")
        self.assertRegex(self.run_ctl("draft", "save", "web", "-f", draft, "--new", "--reason", "CHG-1").stdout, r"^draft web  ready  demo@\w+, over generation 1 \(demo@\w+\)\n$")
        self.assertIn("take another name", self.run_ctl("draft", "save", "web", "-f", draft, "--new", code=1).stderr)
        self.assertRegex(self.run_ctl("draft", "list").stdout, r"\nweb +ready +demo@\w+ +generation 1 \(demo@\w+\) +\S+Z +token:first-start/\w+ +CHG-1\n$")
        self.assertEqual(self.run_ctl("draft", "show", "web", "--text").stdout, "rule web-in\nrule new\n")
        self.assertIn("reason     CHG-1\n\nrule web-in\n", self.run_ctl("draft", "show", "web").stdout)
        run = self.run_ctl("draft", "plan", "web", code=2)
        self.assertIn("+ rule new  action allow\n", run.stdout)
        self.assertIn("apply with: sluicectl draft apply web --confirm 10m\n", run.stdout)
        planned = json.loads(self.run_ctl("draft", "plan", "web", "--no-flows", "-o", "json", code=2).stdout)["hash"]
        self.assertIn("saved or deleted meanwhile", self.run_ctl("draft", "apply", "web", "--hash", "0" * 64, code=1).stderr)
        self.assertIn("generation 2", self.run_ctl("draft", "apply", "web", "--hash", planned).stdout)
        self.assertIn(" in_force ", self.run_ctl("draft", "list").stdout)
        self.run_ctl("draft", "plan", "web", code=0)

        self.run_ctl("draft", "save", "web", "-f", self.file("rule third\n"))
        run = self.run_ctl("draft", "apply", "web", code=1)
        self.assertIn("web: add rule web-in\nsluicectl: it was written over another policy\n", "web: " + run.stderr)
        self.run_ctl("draft", "save", "web", "-f", self.file("rule third\n"), "--base", "current")
        self.assertIn("else the dataplane reverts: sluicectl confirm 3", self.run_ctl("draft", "apply", "web", "--confirm", "5m").stdout)

        broken = self.file("BROKEN", "b.yaml")
        run = self.run_ctl("draft", "save", "broken", "-f", broken)
        self.assertTrue(run.stderr.startswith(broken + ':3:9: zone "dzm" is not defined; did you mean "dmz"?\n'))
        self.assertIn("draft broken  errors  2 errors, over generation", run.stdout)
        self.assertIn("this is no YAML", self.run_ctl("draft", "save", "broken", "-f", self.file("UNREADABLE", "u.yaml"), code=1).stderr)
        self.assertEqual(self.run_ctl("draft", "show", "broken", "--text").stdout, "BROKEN")
        self.assertEqual(self.run_ctl("draft", "delete", "broken").stdout, "draft broken is gone\n")
        self.assertIn('there is no draft "broken"', self.run_ctl("draft", "delete", "broken", code=1).stderr)
        self.assertIn("is no name of a draft", self.run_ctl("draft", "show", "../policy", code=1).stderr)

    def test_a_change_waits_is_approved_rejected_and_withdrawn(self):
        def token(name, role):
            made = json.loads(self.run_ctl("token", "create", name, "--role", role, "-o", "json").stdout)["token"]
            return {"SLUICE_TOKEN": made, "SLUICE_TOKEN_FILE": ""}

        anna, chief = token("anna", "approver"), token("chief", "admin")
        self.run_ctl("apply", "-f", self.file("needed: 2"))
        policy = self.file("needed: 1 rule new")
        run = self.run_ctl("apply", "-f", policy, "--reason", "CHG-1", code=3)
        self.assertRegex(run.stdout, r"^policy demo@\w+  2/2 tests\nchange 1 waits: nothing is changed yet\napprovals 0 of 2 until \S+Z: sluicectl changes approve 1\n$")
        self.assertEqual(json.loads(self.run_ctl("apply", "-f", policy, "-o", "json", code=3).stdout)["change"]["id"], 2)
        self.assertIn("somebody else has to approve it", self.run_ctl("changes", "approve", "1", code=1).stderr)
        self.assertIn("approvals 1 of 2", self.run_ctl("changes", "approve", "1", "--reason", "read it", environment=anna).stdout)
        self.assertIn("each person counts once", self.run_ctl("changes", "approve", "1", environment=anna, code=1).stderr)
        self.assertRegex(self.run_ctl("changes", "list", "--state", "pending").stdout,
                         r"\n +1  pending  demo@\w+  put   1 of 2     until \S+Z  token:first-start/\w+  \S+Z  CHG-1\n$")
        shown = self.run_ctl("changes", "show", "1").stdout
        self.assertRegex(shown, r"^change     1  pending  demo@\w+  put\nover       generation 1 \(demo@\w+\)\nby         token:first-start/")
        self.assertIn("reason     CHG-1\n", shown)
        self.assertRegex(shown, r"\napprovals  1 of 2\napproved   token:anna/\w+  read it\nchanges    from the policy in force\n~ rule web-in  to: shop -> canary\n$")
        self.assertEqual(self.run_ctl("changes", "show", "1", "--text").stdout, "needed: 1 rule new")
        self.assertIn("takes --break-glass and --reason", self.run_ctl("changes", "apply", "1", environment=chief, code=1).stderr)
        self.assertIn("generation 2", self.run_ctl("changes", "apply", "1", "--break-glass", "--reason", "INC-7", environment=chief).stdout)
        self.assertRegex(self.run_ctl("changes", "show", "1").stdout, r"\nglass      token:chief/\w+  INC-7\nended      \S+Z\ngeneration 2\n$")
        self.assertIn("give --reason", self.run_ctl("changes", "reject", "2", environment=anna, code=1).stderr)
        self.assertEqual(self.run_ctl("changes", "reject", "2", "--reason", "no", environment=anna).stdout, "change 2 is rejected; nothing was changed\n")
        self.run_ctl("apply", "-f", self.file("needed: 1 third"), code=3)
        self.assertIn("somebody else's", self.run_ctl("changes", "withdraw", "3", environment=anna, code=1).stderr)
        self.assertEqual(self.run_ctl("changes", "withdraw", "3").stdout, "change 3 is withdrawn; nothing was changed\n")
        self.assertIn("change 3 is withdrawn", self.run_ctl("changes", "approve", "3", environment=anna, code=1).stderr)
        for number, end in ((4, ("approve", "4")), (5, ("apply", "5", "--break-glass", "--reason", "INC-8"))):
            self.run_ctl("apply", "-f", self.file(f"needed: 1 LOCKOUT {number}"), "--force", code=3)
            who = anna if end[0] == "approve" else chief
            self.assertIn("passes through", self.run_ctl("changes", *end, environment=who, code=1).stderr)
            self.assertIn("generation", self.run_ctl("changes", *end, "--force", environment=who).stdout)

    def test_a_change_has_a_time(self):
        self.run_ctl("apply", "-f", self.file("a"))
        at = (datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(hours=10)).strftime("%Y-%m-%dT%H:%M:%S")
        run = self.run_ctl("apply", "-f", self.file("b"), "--at", at + "+08:00", "--confirm", "10m")
        self.assertRegex(run.stdout, r"\nchange 1 waits: nothing is changed yet\nit is applied at \S+Z\n$")
        self.assertEqual(json.loads(self.run_ctl("changes", "list", "-o", "json").stdout)["changes"][0]["confirm_s"], 600)
        self.assertIn("at lies in the future", self.run_ctl("apply", "-f", self.file("b"), "--at", "2020-12-05T02:00+08:00", code=1).stderr)
        self.assertIn("is no instant", self.run_ctl("apply", "-f", self.file("b"), "--at", "tomorrow", code=1).stderr)
        self.assertIn("need a generation", self.run_ctl("rollback", "--at", at + "Z", code=1).stderr)

    def test_a_commit_says_what_became_of_it(self):
        self.run_ctl("apply", "-f", self.file("a"), "--reason", "CHG-7")
        self.run_ctl("apply", "-f", self.file("b"), "--confirm", "10m", "--guard", "drop-rate=5, failed-handshakes=10")
        said = self.run_ctl("commit").stdout
        self.assertRegex(said, r"^generation 2  pending_confirmation  policy [0-9a-f]{6}\nasked      \S+Z by token:first-start/\w+\n"
                               r"confirm    within (10m|9m 59s)\nguard      drop-rate=5, failed-handshakes=10\n$")
        self.assertIn("\nguard      drop-rate=5, failed-handshakes=10\n", self.run_ctl("status", code=None).stdout)
        self.assertRegex(self.run_ctl("commit", "1").stdout, r"^generation 1  superseded .*\nasked .*\nreason     CHG-7\nsince ")
        self.assertEqual(json.loads(self.run_ctl("commit", "2", "-o", "json").stdout)["state"], "pending_confirmation")
        self.assertIn("nobody has put", self.run_ctl("commit", "3", code=1).stderr)

    def test_who_would_lock_himself_out_says_so(self):
        said = self.run_ctl("apply", "-f", self.file("LOCKOUT"), code=1).stderr
        self.assertIn("passes through this firewall", said)
        self.assertIn("generation 1", self.run_ctl("apply", "-f", self.file("LOCKOUT"), "--force").stdout)

    def test_confirm_and_rollback(self):
        self.run_ctl("apply", "-f", self.file("a"))
        run = self.run_ctl("apply", "-f", self.file("b"), "--confirm", "10m")
        self.assertIn("else the dataplane reverts: sluicectl confirm 2", run.stdout)
        self.assertIn("give --confirm too", self.run_ctl("apply", "-f", self.file("a"), "--guard", "drop-rate=5", code=1).stderr)
        self.assertIn("a guard is drop-rate=POINTS", self.run_ctl("apply", "-f", self.file("a"), "--confirm", "1m", "--guard", "fast", code=1).stderr)
        self.assertIn("confirm    within", self.run_ctl("status").stdout)
        self.assertIn("; waits for confirmation: generation 2\n", self.run_ctl("status").stdout)
        self.assertNotIn("NOT what", self.run_ctl("status").stdout)
        self.run_ctl("confirm")
        self.run_ctl("confirm", "2", code=1)
        self.run_ctl("apply", "-f", self.file("c"), "--confirm", "1h30m")
        self.assertIn("generation 2", self.run_ctl("rollback").stdout)
        for bad in ("0", "x", "25h", "10", "-5m", "2d", ""):
            if bad in ("10", ""):
                continue  # ten seconds; no confirmation
            self.assertIn("is no duration", self.run_ctl("apply", "-f", self.file("d"), "--confirm=" + bad, code=1).stderr)

    def test_history_and_rolling_back_to_a_generation(self):
        self.run_ctl("apply", "-f", self.file("a"))
        self.run_ctl("apply", "-f", self.file("b"), "--reason", "CHG-20418: 放行")
        self.run_ctl("apply", "-f", self.file("c"))
        lines = self.run_ctl("history").stdout.splitlines()
        self.assertRegex(lines[2], r"^ +2  demo@\w{6}  \d{4}-\d\d-\d\d \d\d:\d\d:\d\d  token:first-start/0{8}  127\.0\.0\.1  policy\.put  CHG-20418: 放行$")
        self.assertRegex(lines[3], r"^\* +3  demo@")
        run = self.run_ctl("history", "--limit", "1")
        self.assertEqual((len(run.stdout.splitlines()), "there is more" in run.stderr), (2, True))
        shown = self.run_ctl("history", "show", "2").stdout
        self.assertRegex(shown, r"^generation 2 \(demo@\w{6}\)  in force since ")
        self.assertIn("reason     CHG-20418: 放行\nchanges    from generation 1", shown)
        self.assertIn("~ rule web-in  to: shop -> canary\n", shown)
        self.assertEqual(self.run_ctl("history", "show", "2", "--text").stdout, "b")
        self.assertEqual(json.loads(self.run_ctl("history", "show", "2", "-o", "json").stdout)["text"], "b")
        self.assertRegex(self.run_ctl("diff", "1", "3").stdout, r"^from generation 1 \(demo@\w{6}\) to generation 3 ")
        self.assertIn("never in force", self.run_ctl("history", "show", "9", code=1).stderr)
        self.assertIn("generation 4", self.run_ctl("rollback", "1", "--reason", "worse than before").stdout)
        self.assertEqual(self.run_ctl("get", "policy").stdout, "a\n")
        self.assertIn("worse than before", self.run_ctl("history").stdout)
        self.assertIn("sluicectl confirm 5", self.run_ctl("rollback", "2", "--confirm", "10m").stdout)
        self.assertIn("need a generation", self.run_ctl("rollback", "--confirm", "10m", code=1).stderr)

    def test_audit(self):
        self.run_ctl("apply", "-f", self.file("a"), "--reason", "first")
        self.run_ctl("apply", "-f", self.file("b"))
        lines = self.run_ctl("audit").stdout.splitlines()
        self.assertRegex(lines[0], r"^ENTRY  TIME \(UTC\) +BY +FROM +WHAT +RESULT +BEFORE +AFTER +REASON +DETAIL$")
        self.assertRegex(lines[3], r"^ +3  \S+ \S+  token:first-start/0{8}  127\.0\.0\.1  policy\.put  begun .*first")
        entries = [json.loads(line) for line in self.run_ctl("audit", "-o", "json", "--action", "policy").stdout.splitlines()]
        self.assertEqual([e["result"] for e in entries], ["begun", "adopted"] * 2)
        self.assertEqual(self.run_ctl("audit", "--user", "nobody", "-o", "json").stdout, "")
        self.assertEqual(len(self.run_ctl("audit", "--user", "token:first-start", "-o", "json").stdout.splitlines()), 4)
        self.assertEqual(len(self.run_ctl("audit", "--since", "1h", "-o", "json").stdout.splitlines()), 6)
        self.assertIn("how long ago", self.run_ctl("audit", "--since", "yesterday", code=1).stderr)
        run = self.run_ctl("audit", "verify")
        self.assertRegex(run.stdout, r"^the audit is whole: 6 entries\nhead 6 [0-9a-f]{64}\n")
        self.server.tell("audit-head 9 " + "0" * 64)
        run = self.run_ctl("audit", "verify", code=1)
        self.assertIn("the audit is broken: entry 7 and those behind it, up to 9, are gone", run.stderr)
        self.assertEqual(json.loads(self.run_ctl("audit", "verify", "-o", "json", code=1).stdout)["broken"], 7)

    def test_tokens(self):
        made = self.run_ctl("token", "create", "ci-deploy", "--role", "editor", "--role", "viewer", "--expires", "30d", "--reason", "CHG-5")
        text = made.stdout.strip()
        self.assertRegex(text, r"^sluice_[0-9a-f]{8}_[\w-]{43}$")
        self.assertRegex(made.stderr, r"^token ci-deploy/[0-9a-f]{8}  viewer editor  expires \d{4}-\d\d-\d\d; it is not shown again\n$")
        self.assertIn("generation 1", self.run_ctl("apply", "-f", self.file("a"), environment={"SLUICE_TOKEN": text}).stdout)
        denied = self.run_ctl("audit", code=1, environment={"SLUICE_TOKEN": text}).stderr
        self.assertRegex(denied, r"this needs the role auditor; token:ci-deploy/[0-9a-f]{8} has viewer editor")
        listed = self.run_ctl("token", "list").stdout
        self.assertRegex(listed, r"(?m)^[0-9a-f]{8}  ci-deploy    viewer editor +live   \S+  token:first-start/0{8}  \d{4}-\d\d-\d\d *$")
        self.assertRegex(listed, r"(?m)^0{8}  first-start  viewer operator editor approver auditor admin  live ")
        self.assertNotIn(text[16:], listed + self.run_ctl("audit", "-o", "json").stdout + self.run_ctl("token", "list", "-o", "json").stdout)
        self.assertIn("CHG-5", self.run_ctl("audit", "--action", "token.create").stdout)
        self.assertRegex(self.run_ctl("token", "revoke", "ci-deploy").stdout, r"^revoked ci-deploy/[0-9a-f]{8}\n$")
        self.assertIn("was revoked", self.run_ctl("status", code=1, environment={"SLUICE_TOKEN": text}).stderr)
        self.assertIn("no live token has this name or id", self.run_ctl("token", "revoke", "ci-deploy", code=1).stderr)
        self.assertIn("make another first", self.run_ctl("token", "revoke", "00000000", code=1).stderr)
        self.assertIn("a role is one of viewer", self.run_ctl("token", "create", "x", "--role", "root", code=1).stderr)
        self.assertIn("write 90d, 12h or never", self.run_ctl("token", "create", "x", "--role", "viewer", "--expires", "soon", code=1).stderr)
        never = json.loads(self.run_ctl("token", "create", "x", "--role", "viewer", "--expires", "never", "-o", "json").stdout)
        self.assertEqual((never["expires"], never["state"]), (None, "live"))

    def test_patch(self):
        edits = self.file('[{"op": "remove", "id": "x"}]', "edits.json")
        self.assertIn("no policy is stored yet", self.run_ctl("patch", "-f", edits, code=1).stderr)
        self.run_ctl("apply", "-f", self.file("a"))
        self.assertIn("generation 2", self.run_ctl("patch", "-f", edits).stdout)


class SupportBundle(Case):
    def bundle(self, *arguments, code=0, environment=None):
        """(members by name, what was printed)"""
        path = os.path.join(self.folder.name, "bundle.tar.gz")
        run = self.run_ctl("support-bundle", "-f", path, *arguments, code=code, environment=environment)
        if code != 0:
            return {}, run
        self.assertEqual(os.stat(path).st_mode & 0o777, 0o600)
        with tarfile.open(path, "r:gz") as archive:
            members = {member.name: archive.extractfile(member).read().decode() for member in archive}
        os.unlink(path)
        self.assertEqual(run.stdout, path + "\n")
        return {name.removeprefix("sluice-support/"): text for name, text in members.items()}, run

    def test_it_has_what_a_helper_asks_for_and_says_what_it_lacks(self):
        self.run_ctl("apply", "-f", self.file("rule web-in\n"), "--reason", "CHG-1")
        config = self.file("listen: \"127.0.0.1:8443\"\n", "controlplane.yaml")
        log = self.file("".join("line %d\n" % number for number in range(200_000)), "control.log")
        members, run = self.bundle("--config-dir", os.path.dirname(config), "--log", log, "--log", "/nope/x.log")
        self.assertEqual(set(members), {"MANIFEST", "status.json", "ready.json", "metrics.txt", "rules.json", "sets.json", "history.json", "drafts.json", "changes.json", "shadow.json",
                                        "freeze.json", "audit.json", "audit-verify.json", "policy.yaml", "versions.txt", "config/controlplane.yaml", "logs/1-control.log"})
        self.assertEqual(json.loads(members["status.json"])["flows"]["count"], 250)
        self.assertIn("sluice_flows 250\n", members["metrics.txt"])
        self.assertIn("CHG-1", members["audit.json"])
        self.assertEqual(members["policy.yaml"], "rule web-in\n")
        self.assertTrue(members["versions.txt"].startswith("sluicectl "))
        self.assertTrue(members["logs/1-control.log"].startswith("line ") and members["logs/1-control.log"].endswith("line 199999\n"))
        self.assertLess(len(members["logs/1-control.log"]), 2 << 20)
        for missing in ("config/dataplane.yaml: ", "logs/2-x.log: /nope/x.log: No such file"):
            self.assertIn(missing, members["MANIFEST"].split("left out")[1])
            self.assertIn(missing, run.stderr)
        self.assertIn("policy.yaml: --no-policy", self.bundle("--no-policy")[0]["MANIFEST"])

    def test_no_secret_is_in_it(self):
        canary = "C4n4ryZq8Wm3"
        folder = os.path.dirname(self.file(f"listen: x\nkeys: {{password: {canary}, port: 1}}\nurl: https://u:{canary}@h/\n", "controlplane.yaml"))
        self.run_ctl("apply", "-f", self.file(f"rule web-in # token: {canary}\n"), "--reason", f"Bearer {canary}")
        log = self.file(f"x {self.server.token} y\n-----BEGIN PRIVATE KEY-----\n{canary}\n-----END PRIVATE KEY-----\nauthorization: Bearer {canary}\n", "l.log")
        made = json.loads(self.run_ctl("token", "create", "ci", "--role", "viewer", "-o", "json").stdout)["token"]
        self.run_ctl("apply", "-f", self.file("rule a\n"), "--reason", "leaked " + made)
        members, _ = self.bundle("--config-dir", folder, "--log", log)
        for name, text in members.items():
            for secret in (canary, self.server.token, made.split("_", 2)[2]):
                self.assertNotIn(secret, text, name)
        self.assertIn("leaked sluice_%s_<redacted>" % made.split("_")[1], members["history.json"])
        self.assertRegex(members["MANIFEST"], r"\n[1-9]\d* secrets were taken out")
        own = self.bundle(environment={"SLUICE_TOKEN": self.server.token})[0]
        self.assertNotIn(self.server.token, "".join(own.values()))

    def test_what_may_not_be_read_is_said_and_nothing_is_overwritten(self):
        viewer = json.loads(self.run_ctl("token", "create", "v", "--role", "viewer", "-o", "json").stdout)["token"]
        members, _ = self.bundle(environment={"SLUICE_TOKEN": viewer, "SLUICE_TOKEN_FILE": ""})
        self.assertNotIn("audit.json", members)
        self.assertIn("audit.json: this needs the role auditor", members["MANIFEST"])
        self.file("mine", "bundle.tar.gz")
        _, run = self.bundle(code=1)
        self.assertIn("bundle.tar.gz: cannot write it: File exists", run.stderr)


class Connection(Case):
    def test_a_client_certificate_that_is_no_file(self):
        for arguments, words in ((("--cert", "/nope"), "cannot read the client certificate /nope"),
                                 (("--cert", os.path.join(self.server.dir, "server.pem"), "--key", "/nope"), "cannot use the key /nope")):
            run = self.run_ctl(*arguments, "status", code=1)
            self.assertIn(words, run.stderr)
            self.assertEqual((run.stdout, run.stderr.count("\n")), ("", 1))

    def test_what_is_wrong_is_said_in_one_line(self):
        for arguments, words in ((("--url", "https://127.0.0.1:1"), "Connection refused; is sluice-controlplane running there?"),
                                 (("--url", "http://127.0.0.1:1"), "write https://HOST:PORT"), (("--ca", "/nope"), "cannot read the CA certificate /nope"),
                                 (("--token-file", "/nope"), "cannot read the token /nope"),
                                 (("--ca", self.file("no certificate")), "cannot read the CA certificate")):
            run = self.run_ctl(*arguments, "status", code=1)
            self.assertIn(words, run.stderr)
            self.assertEqual((run.stdout, run.stderr.count("\n")), ("", 1))
        run = self.run_ctl("status", code=1, environment={"SLUICE_TOKEN_FILE": self.file("wrong" * 10)})
        self.assertIn("--token-file, SLUICE_TOKEN_FILE or SLUICE_TOKEN", run.stderr)
        self.run_ctl("status", environment={"SLUICE_TOKEN_FILE": "/nope", "SLUICE_TOKEN": self.server.token})

    def test_another_authority_is_not_trusted(self):
        with Server(SERVER) as other:
            run = self.run_ctl("status", code=1, environment={"SLUICE_CA": str(other.dir / "ca.pem")})
            self.assertIn("TLS with", run.stderr)

    def test_usage(self):
        self.assertIn("Subcommands:", self.run_ctl("--help").stdout)
        self.assertRegex(self.run_ctl("--version").stdout, r"^\d+\.\d+\.\d+\n$")
        self.assertIn('"stats" is no command; did you mean "status"?', self.run_ctl("stats", code=1).stderr)
        self.assertIn('"frobnicate" is no command; there are plan, apply, ', self.run_ctl("-o", "json", "frobnicate", "--help", code=1).stderr)
        self.assertIn('"rulez" is no command; did you mean "rules"?', self.run_ctl("get", "rulez", code=1).stderr)
        self.assertEqual(self.run_ctl("explain", "a", "192.0.2.1", "[2001:db8::1]:22/tcp", code=1).stderr.count("address families"), 1)
        for arguments in ((), ("nope",), ("get",), ("apply",), ("get", "rules", "-o", "xml"), ("flows", "--verdict", "deny"), ("flows", "-f", "--verdict", "x")):
            self.run_ctl(*arguments, code=1)


if __name__ == "__main__":
    unittest.main(verbosity=1)
