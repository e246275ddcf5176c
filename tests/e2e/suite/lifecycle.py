"""A policy's way into force, with both real processes and packets as the judges."""


def _write(bench, name, text):
    with open(f"{bench.lab.run_dir}/{name}.yaml", "w", encoding="utf-8") as file:
        file.write(text)
    return file.name


def draft_is_kept_planned_and_applied(bench):
    """Kept over the death of the control plane; refused once somebody else has changed the policy, and told who."""
    bench.put(bench.policy)
    bench.wait_in_sync()
    text = bench.with_rule("{id: more, from: internet, to: shop, service: udp/7001, action: allow}")
    said = bench.ctl("draft", "save", "more", "-f", _write(bench, "more", text), "--reason", "CHG-1").stdout
    assert said.startswith("draft more  ready  e2e@"), said
    assert not bench.udp_passes(7001), "nothing of a draft is in force"
    bench.kill("controlplane")
    bench.wait_in_sync()
    assert bench.ctl("draft", "show", "more", "--text").stdout == text
    plan = bench.ctl("draft", "plan", "more", check=False)
    assert plan.returncode == 2 and "+ rule more" in plan.stdout, plan.stdout + plan.stderr

    other = bench.with_rule("{id: other, from: internet, to: shop, service: udp/7003, action: deny}")
    bench.ctl("apply", "-f", _write(bench, "other", other), "--reason", "INC-7")
    refused = bench.ctl("draft", "apply", "more", check=False)
    assert refused.returncode == 1 and "add rule other" in refused.stderr and "INC-7" in refused.stderr, refused.stderr
    assert not bench.udp_passes(7001)
    both = bench.with_rule("{id: more, from: internet, to: shop, service: udp/7001, action: allow}", other)
    bench.ctl("draft", "save", "more", "-f", _write(bench, "both", both), "--base", "current")
    assert "generation" in bench.ctl("draft", "apply", "more").stdout
    assert bench.udp_passes(7001)
    assert " in_force " in bench.ctl("draft", "list").stdout
    bench.ctl("draft", "delete", "more")
    bench.put(bench.policy)


TESTS = [draft_is_kept_planned_and_applied]
