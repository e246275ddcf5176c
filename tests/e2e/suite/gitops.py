"""policies/gitops: the jobs of its two pipelines, as they stand there, against the real firewall."""
import itertools
import os
import shutil
import subprocess

import yaml
from lab.names import ROOT, binary
from lab.shell import until

_NUMBERS = itertools.count()  # of clones: no two tokens that live have one name
_GITHUB, _GITLAB = ".github/workflows/policy.yml", ".gitlab-ci.yml"


class _Repository:
    """A clone as a runner has it, with what its settings give: URL, authority and a token for each duty."""

    def __init__(self, bench):
        self.bench = bench
        self.folder = f"{bench.lab.run_dir}/gitops"
        shutil.rmtree(self.folder, ignore_errors=True)
        shutil.copytree(os.path.join(ROOT, "policies/gitops"), self.folder)
        self.output = f"{self.folder}/output"
        self.tokens = {}
        number = next(_NUMBERS)
        for duty, role in (("PLAN", "viewer"), ("APPLY", "editor"), ("CONFIRM", "approver")):
            made = bench.ctl("token", "create", f"ci-{duty.lower()}-{number}", "--role", role).stdout.split()
            self.tokens[f"SLUICE_{duty}_TOKEN"] = next(word for word in made if word.startswith("sluice_"))

    def policy(self, change=lambda text: text):
        with open(f"{self.folder}/policy/policy.yaml", "r+", encoding="utf-8") as file:
            text = change(file.read())
            file.seek(0)
            file.truncate()
            file.write(text)
        return text

    def run(self, script, names, **more):
        """`names`: variable of the job -> secret."""
        environment = {"PATH": f"{os.path.dirname(binary('sluicectl'))}:{os.environ['PATH']}", "SLUICE_URL": self.bench.lab.url,
                       "SLUICE_CA": f"{self.bench.lab.state_dir}/ca.pem", "GITHUB_OUTPUT": self.output}  # fmt: skip
        environment |= {variable: self.tokens[secret] for variable, secret in names.items()} | more
        return subprocess.run(["sh", "-c", script], cwd=self.folder, env=environment, capture_output=True, text=True, timeout=120, check=False)

    def github(self, job, **more):
        """The job's last step."""
        with open(f"{self.folder}/{_GITHUB}", encoding="utf-8") as file:
            step = yaml.safe_load(file)["jobs"][job]["steps"][-1]
        names = {variable: value.split("secrets.")[1].rstrip(" }") for variable, value in step["env"].items() if "secrets." in value}
        return self.run(step["run"], names, **more)

    def gitlab(self, job, **more):
        with open(f"{self.folder}/{_GITLAB}", encoding="utf-8") as file:
            script = yaml.safe_load(file)[job]["script"]
        return self.run(script, {name: name for name in self.tokens}, **more)


def _rule(line):
    return lambda text: text.replace("rules:\n", f"rules:\n  - {line}\n", 1)


def pipelines_plan_apply_and_tell_drift(bench):
    bench.put(bench.policy)
    repository = _Repository(bench)
    plan = repository.github("plan")
    assert plan.returncode == 0 and "+ rule egress-web" in plan.stdout, plan.stdout + plan.stderr
    with open(repository.output, encoding="utf-8") as file:
        assert file.read() == "changed=true\n"
    drift = repository.github("drift")
    assert drift.returncode == 2 and "+ rule egress-web" in drift.stdout, drift.stdout + drift.stderr

    # A merge request's token changes nothing, whatever its script tries.
    tried = repository.run("ci/apply.sh", {"SLUICE_TOKEN": "SLUICE_PLAN_TOKEN"}, GITHUB_SHA="a" * 40, GITHUB_ACTOR="mallory")
    assert tried.returncode == 1 and "needs the role editor" in tried.stderr, tried.stdout + tried.stderr

    done = repository.github("apply", GITHUB_SHA="b" * 40, GITHUB_ACTOR="anna", SLUICE_CHECK="true")
    assert done.returncode == 0, done.stdout + done.stderr
    bench.wait_in_sync()
    assert bench.api.request("GET", "/v1/policy")[2] == repository.policy()
    (row, *_) = bench.api.json("GET", "/v1/history?limit=1")["history"]
    assert row["reason"] == f"commit {'b' * 40} by anna" and "ci-confirm" in row["approval"], row
    assert repository.gitlab("drift").returncode == 0
    again = repository.gitlab("apply", CI_COMMIT_SHA="b" * 40, GITLAB_USER_LOGIN="anna")
    assert again.returncode == 0 and "nothing to do" in again.stdout, again.stdout + again.stderr


def wrong_policies_and_failed_checks_change_nothing(bench):
    repository = _Repository(bench)
    text = repository.policy()
    bench.put(text)
    bench.wait_in_sync()
    before = bench.etag()
    repository.policy(_rule("{id: cut, from: internet, to: shop, service: https, action: deny}"))
    plan = repository.gitlab("plan")  # its own test says that web-in decides
    assert plan.returncode == 1 and "policy/policy.yaml:" in plan.stderr and "expected allow by web-in" in plan.stderr, plan.stderr
    assert repository.gitlab("apply", CI_COMMIT_SHA="c" * 40, GITLAB_USER_LOGIN="bert").returncode == 1
    assert bench.etag() == before

    repository.policy(lambda _: _rule("{id: more, from: internet, to: shop, service: udp/7001, action: allow}")(text))
    failed = repository.gitlab("apply", CI_COMMIT_SHA="d" * 40, GITLAB_USER_LOGIN="bert", SLUICE_CHECK="false")
    assert failed.returncode == 1 and "the check failed" in failed.stderr, failed.stdout + failed.stderr
    bench.wait_in_sync()
    assert bench.etag() == before and not bench.udp_passes(7001)

    # Nobody confirms: the dataplane takes it back.
    waits = repository.run("ci/apply.sh", {"SLUICE_TOKEN": "SLUICE_APPLY_TOKEN"}, GITHUB_SHA="e" * 40, GITHUB_ACTOR="carl", SLUICE_CONFIRM="3s")
    assert waits.returncode == 0 and "sluicectl confirm" in waits.stdout, waits.stdout + waits.stderr
    assert bench.udp_passes(7001)
    until(lambda: not bench.udp_passes(7001, within_s=0.15), "the policy before, back", 20.0)
    bench.wait_in_sync()
    assert bench.etag() == before
    bench.put(bench.policy)


TESTS = [pipelines_plan_apply_and_tell_drift, wrong_policies_and_failed_checks_change_nothing]
