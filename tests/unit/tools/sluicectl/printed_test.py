"""What sluicectl prints about itself and the language, without a server: completions, man page, schema."""
import glob
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from ctl_case import HANG_LIMIT_S, SLUICECTL  # noqa: E402


class Schema(unittest.TestCase):
    def test_is_that_of_the_repository_and_asks_nobody(self):
        run = subprocess.run([SLUICECTL, "schema"], capture_output=True, text=True, check=True, timeout=HANG_LIMIT_S,
                             env={"PATH": os.environ["PATH"], "SLUICE_TOKEN_FILE": "/nope", "SLUICE_URL": "https://192.0.2.1:1"})
        root = os.path.abspath(os.path.join(os.path.dirname(__file__), *[".."] * 4))
        with open(os.path.join(root, "policies/schema/policy.schema.json"), encoding="utf-8") as file:
            self.assertEqual(run.stdout, file.read())
        self.assertEqual(run.stderr, "")


class Completion(unittest.TestCase):
    def complete(self, line):
        """What bash would offer for the last word of the line; it may be empty."""
        words = line.split(" ")
        script = ('source <("$0" completion bash); COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _sluicectl; '
                  'printf "%s\\n" "${COMPREPLY[@]}"')
        run = subprocess.run(["bash", "-c", script, SLUICECTL, *words], capture_output=True, text=True, check=True, timeout=HANG_LIMIT_S,
                             env={"PATH": os.environ["PATH"], "SLUICE_TOKEN_FILE": "/nope"})
        self.assertEqual(run.stderr, "")
        return run.stdout.split()

    def test_commands_options_and_values(self):
        self.assertEqual(self.complete("sluicectl st"), ["status"])
        self.assertEqual(self.complete("sluicectl get "), sorted(["--ca", "--cert", "--help", "--idempotency-key", "--key", "--output", "--reason", "--token-file", "--url",
                                                                  "--version", "--watch", "--every", "-h", "-o", "-w", "drops", "flows", "policy", "rules", "sets", "workers"]))
        self.assertEqual(self.complete("sluicectl -o json get ru"), ["rules"])
        self.assertEqual(self.complete("sluicectl get rules -o "), ["table", "wide", "json", "yaml"])
        self.assertEqual(self.complete("sluicectl flows --verdict d"), ["deny", "drop"])
        self.assertEqual(self.complete("sluicectl --reason get st"), ["status"])  # the word behind --reason is no command
        self.assertEqual(self.complete("sluicectl flows end --al"), ["--all"])
        self.assertCountEqual(self.complete("sluicectl plan -f /etc/host"), (glob.glob("/etc/host*")))
        self.assertEqual(self.complete("sluicectl nonsense --conf"), [])

    def test_every_command_of_the_help_is_offered(self):
        told = subprocess.run([SLUICECTL, "--help"], capture_output=True, text=True, check=True).stdout.split("Subcommands:")[1]
        commands = {line.split()[0] for line in told.splitlines() if line.startswith("  ") and not line.startswith("   ")}
        self.assertGreater(len(commands), 10)
        self.assertEqual({word for word in self.complete("sluicectl ") if not word.startswith("-")}, commands)


class ManPage(unittest.TestCase):
    def test_it_has_every_command_and_option_and_no_fault(self):
        page = subprocess.run([SLUICECTL, "man"], capture_output=True, text=True, check=True, timeout=HANG_LIMIT_S).stdout
        # -ww: every warning there is; the page says no date on purpose, or it would be another with each build.
        for lint, fine in ((["groff", "-man", "-ww", "-z", "-Kutf8"], ""), (["mandoc", "-T", "lint", "-W", "warning"], "missing date")):
            run = subprocess.run(lint, input=page, capture_output=True, text=True, check=False, timeout=HANG_LIMIT_S)
            faults = [line for line in (run.stdout + run.stderr).splitlines() if not fine or fine not in line]
            self.assertEqual(faults, [], lint)
        shown = subprocess.run(["mandoc", "-T", "ascii"], input=page, capture_output=True, text=True, check=True, timeout=HANG_LIMIT_S).stdout
        shown = re.sub(".\b", "", shown)
        words = subprocess.run([SLUICECTL, "completion", "bash"], capture_output=True, text=True, check=True, timeout=HANG_LIMIT_S).stdout
        told = dict(re.findall(r"^    \['(sluicectl(?: \w[\w-]*)*)'\]='([^'\n]{2,})'$", words, re.M))
        self.assertGreater(len(told), 30)
        for path, offered in told.items():
            if path != "sluicectl" and not any(other.startswith(path + " ") for other in told):
                self.assertRegex(shown, "(?m)^ +" + re.escape(path) + r"( |$)")
            for option in offered.split():
                if option.startswith("--") and option != "--help":
                    self.assertIn(option, shown)
        self.assertIn("sluicectl audit verify", shown)
        self.assertIn("SLUICE_TOKEN_FILE", shown)


class ZshCompletion(unittest.TestCase):
    def complete(self, line):
        """As the function is called by zsh: the words of the line, and what it offers."""
        words = line.split(" ")
        script = ('compdef() { :; }; source <("$1" completion zsh); shift; words=("$@"); CURRENT=$#; PREFIX=${words[-1]}\n'
                  'compadd() { shift; print -l -- "$@"; }; _files() { print FILES; }\n_sluicectl')
        run = subprocess.run(["zsh", "-f", "-c", script, "zsh", SLUICECTL, *words], capture_output=True, text=True, check=True, timeout=HANG_LIMIT_S,
                             env={"PATH": os.environ["PATH"], "SLUICE_TOKEN_FILE": "/nope"})
        self.assertEqual(run.stderr, "")
        return run.stdout.split()

    def test_commands_options_and_values(self):
        self.assertIn("status", self.complete("sluicectl st"))
        self.assertEqual([word for word in self.complete("sluicectl get ") if not word.startswith("-")], ["drops", "flows", "policy", "rules", "sets", "workers"])
        self.assertIn("rules", self.complete("sluicectl -o json get ru"))
        self.assertEqual(self.complete("sluicectl get rules -o "), ["table", "wide", "json", "yaml"])
        self.assertEqual(self.complete("sluicectl flows --verdict d"), ["allow", "deny", "reject", "drop"])
        self.assertIn("status", self.complete("sluicectl --reason get st"))
        self.assertIn("--all", self.complete("sluicectl flows end --al"))
        self.assertEqual(self.complete("sluicectl plan -f /etc/host"), ["FILES"])

    def test_it_completes_in_a_shell(self):
        """A real zsh on a terminal: typed, then the tab key."""
        script = ('zmodload zsh/zpty; zpty shell zsh -f -i\n'
                  'zpty -w shell "PS1=READY; autoload -Uz compinit; compinit -u -D; path=(${SLUICECTL:h} \\$path); source <(sluicectl completion zsh); print LOA""DED"\n'
                  'zpty -r -m shell got "*LOADED*READY*" || exit 3\n'
                  'zpty -w -n shell $\'sluicectl hist\\t\'\n'
                  'zpty -r -m shell got "*sluicectl*history*" || exit 4\nprint -r -- "$got"; zpty -d shell')
        with tempfile.TemporaryDirectory() as folder:
            run = subprocess.run(["zsh", "-f", "-c", script], capture_output=True, text=True, check=False, timeout=HANG_LIMIT_S,
                                 env={"PATH": os.environ["PATH"], "SLUICECTL": SLUICECTL, "HOME": folder, "TERM": "dumb"})
        self.assertEqual(run.returncode, 0, run.stdout + run.stderr)



class FishCompletion(unittest.TestCase):
    def complete(self, line):
        """A real fish, asked what it would offer."""
        script = f'{SLUICECTL} completion fish | source; complete -C "{line}"'
        with tempfile.TemporaryDirectory() as folder:
            run = subprocess.run(["fish", "--no-config", "-c", script], capture_output=True, text=True, check=True, timeout=HANG_LIMIT_S,
                                 env={"PATH": os.environ["PATH"], "HOME": folder, "TERM": "dumb", "SLUICE_TOKEN_FILE": "/nope"})
        self.assertEqual(run.stderr, "")
        return [offer.split("\t")[0] for offer in run.stdout.splitlines()]

    def test_commands_options_and_values(self):
        self.assertIn("status", self.complete("sluicectl st"))
        self.assertEqual([word for word in self.complete("sluicectl get ") if not word.startswith("-")], ["drops", "flows", "policy", "rules", "sets", "workers"])
        self.assertIn("rules", self.complete("sluicectl -o json get ru"))
        self.assertEqual(sorted(self.complete("sluicectl get rules -o ")), ["json", "table", "wide", "yaml"])
        self.assertEqual(self.complete("sluicectl flows --verdict d"), ["deny", "drop"])
        self.assertIn("status", self.complete("sluicectl --reason get st"))
        self.assertIn("--all", self.complete("sluicectl flows end --al"))
        self.assertIn("/etc/hosts", self.complete("sluicectl plan -f /etc/host"))


if __name__ == "__main__":
    unittest.main()
