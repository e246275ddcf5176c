"""Runs every bench of the table in docs/PERFORMANCE.md and writes the table anew: tools/bench report

Each row names its command, what is asked for (floor, goal) and what was found; a figure under its floor is marked. The
lines of JSON go to `--json FILE` too, so that `tools/bench compare` can hold two reports against each other; at the end
the report is held against the baseline of this CPU, if there is one (tests/bench/baseline/). About fifteen minutes; a
row that fails or takes longer than its time says so, and the others go on."""
import json
import math
import os
import re
import subprocess
import sys
import time

from lab.names import ROOT, Trouble

from . import compare, runner

DOCUMENT = os.path.join(ROOT, "docs/PERFORMANCE.md")
BASELINES = os.path.join(ROOT, "tests/bench/baseline")
BEGIN, END = "<!-- table: written by tools/bench report -->", "<!-- end of the table -->"
_ROW_S = 240


def fixed(name, digits=2, unit=""):
    return lambda r: (r[name], f"{r[name]:.{digits}f}{unit}")


def rate(r):
    """Net of what making the packets costs; the raw figure beside it."""
    net = r.get("net_mpps", r["mpps"])
    return net, f"{net:.1f} ({r['mpps']:.1f} with the source)"


def lives(r):
    """Whole connections, in millions a second; net as every rate is."""
    raw = r["lives_per_second_m"]
    net = raw * r["net_mpps"] / r["mpps"]
    return net, f"{net:.2f} ({raw:.2f} with the source)"


def ratio(r):
    return r["ratio"], f"{r['ratio']:.2f} x {r['peer']}"


def table_memory(r):
    return r["table_mib"], f"{r['table_mib']:.1f} MiB"


def stages(r):
    """Cycles of each stage: no floor."""
    return None, ", ".join(f"{name[6:]} {value:.0f}" for name, value in r.items() if name.startswith("stage_"))


class Row:
    """`floor` and `goal` are numbers in the figure's own unit; `least`: a floor is a least figure, else a most one."""

    def __init__(self, what, figure, floor=None, goal=None, least=True):
        self.what, self.figure, self.floor, self.goal, self.least = what, figure, floor, goal, least

    def judged(self, result):
        """(text, under the floor?)"""
        value, text = self.figure(result)
        if value is None or self.floor is None:
            return text, False
        under = value < self.floor if self.least else value > self.floor
        return (f"**{text}, misses the floor**" if under else text), under


class Job:
    """One command; `variant` picks the line that a row is about. `together`: commands of other jobs, whose ratios its
    row's is the geometric mean of, its own included."""

    def __init__(self, command, *rows, variant=None, together=()):
        self.command, self.rows, self.variant, self.together = command, rows, variant, together

    def result(self, found):
        """The line, or None. `found`: {command: (lines, what went wrong)}"""
        of_all = [self._line(found.get(command, ([], ""))[0]) for command in (self.command, *self.together)]
        if None in of_all:
            return None
        mean = math.prod(line["ratio"] for line in of_all) ** (1 / len(of_all)) if self.together else of_all[0].get("ratio")
        return {**of_all[0], "ratio": mean}

    def _line(self, results):
        return next((r for r in results if "bench" in r and self.variant in (None, r["variant"])), None)


def put_p99(result):
    return result["put_p99_ms"] / 1e3, f"{result['put_p99_ms'] / 1e3:.2f}"


def _established(flows, floor, goal, *more):
    return Job(f"established --flows {flows} --stages", Row(f"established, {flows} flows, Mpps", rate, floor, goal),
               Row("&nbsp; cycles a packet by stage (the source's in rx and tx)", stages), *more)  # fmt: skip


def _index(flows, count, floor, goal, bytes_row=False):
    rows = [Row(f"flow index and record, {flows} flows, M/s", rate, floor, goal)]
    if flows != "40M":
        rows.append(Row("&nbsp; against rte_hash", ratio, 1.5, 2))
    if bytes_row:
        rows.append(Row("bytes per IPv4 flow", fixed("bytes_per_flow", 1), 112, 96, least=False))
    return Job(f"flow-index --flows {flows} --count {count} --runs {5 if flows == '1M' else 3}", *rows)


def _classify(rules, family, floor, goal, paired=None, more=()):
    rows = [Row(f"classify {rules} rules, {family}, M/s", fixed("mpps", 1), floor, goal)]
    if paired:
        rows.append(Row("&nbsp; against rte_acl", ratio, *paired))
    return Job(f"classify --family {family} --rules {rules}{' --runs 3' if rules in ('100k', '1M') else ''}", *rows, *more)


def _build(rules, seconds, goal_s, mib):
    return (Row(f"build {rules} rules, s", fixed("build_s", 3), seconds, goal_s, least=False),
            Row(f"table of {rules} rules", table_memory, mib, None, least=False))  # fmt: skip


JOBS = (
    _established("1k", 20, 30),
    _established("100k", 16, 24),
    _established("1M", 14, 20, Row("&nbsp; what a shadow policy costs them, %", fixed("watched_cost_percent", 1), least=False)),
    _established("10M", 11, 15),
    Job("ovs --flows 1k", Row("established, 1k flows, against OVS-DPDK's ct()", ratio)),
    Job("ovs --flows 100k", Row("established, 100k flows, against OVS-DPDK's ct()", ratio)),
    _index("1M", "4M", 25, 32, bytes_row=True),
    Job("crafted-keys --flows 1M", Row("&nbsp; keys of one RSS queue, against random ones", ratio, 0.9, 1), variant="rss"),
    _index("10M", "4M", 20, 27),
    Job("new-flows --stages", Row("first packets, 10k rules, M/s", rate, 3, 5), Row("&nbsp; cycles by stage", stages),
        Row("&nbsp; what a shadow policy costs them, %", fixed("watched_cost_percent", 1), 5, 1, least=False)),  # fmt: skip
    Job("lifecycle --runs 1 --count 64M --stages", Row("TCP lifecycles, 8 packets each, ten seconds, M/s", lives, 0.7, 1.2),
        Row("&nbsp; cycles by stage", stages)),
    _classify("1k", "acl", 18, 40, (0.5, 1)),
    _classify("1k", "fw", 18, 40, (0.5, 1)),
    _classify("10k", "acl", 10, 20, (None, None), _build("10k", 0.1, 0.03, 8)),
    _classify("10k", "fw", 10, 20, (None, None)),
    _classify("10k", "ipc", 10, 20, (None, None)),
    Job("classify --family acl --rules 10k", Row("&nbsp; the three against rte_acl, geometric mean", ratio, 1.2, 2),
        together=("classify --family fw --rules 10k", "classify --family ipc --rules 10k")),
    _classify("100k", "acl", 8, 15, (2, 3), _build("100k", 1, 0.3, 25)),
    _classify("1M", "acl", 5, 8, None, _build("1M", 10, 3, 200)),
    _classify("1M", "fw", 5, 8),
    _classify("1M", "ipc", 5, 8),
    _classify("100k", "cloud", None, None),
    Job("classify --family acl --rules 10k --ipv6", Row("classify 10k rules, acl, IPv6, M/s (60 % of IPv4's)", fixed("mpps", 1), 6, 12)),
    Job("classify --family fw --rules 10k --trace worst", Row("the dearest packets that a search finds, 10k fw, M/s (half of uniform)", fixed("mpps", 1), 5, 8)),
    Job("patch --rules 100k --count 60", Row("one rule of 100k: PATCH to adopted, p99, ms", fixed("p99_ms", 1), 50, 20, least=False),
        Row("100k rules: PUT to adopted, slowest of five, s", put_p99, 2, 1, least=False)),  # fmt: skip
    Job("patch --rules 10k --count 60", Row("10k rules: PUT to adopted, p99 of fifty, s", put_p99, 0.2, 0.1, least=False)),
    Job("policy-swap --runs 3", Row("rate lost to ten publishes and scrapes a second, %", fixed("rate_lost_percent", 1), 5, 2, least=False),
        Row("&nbsp; rounds above 50 us a second (control run)", lambda r: (None, f"{r['late_per_s']:.0f} ({r['peer_late_per_s']:.0f})"))),  # fmt: skip
    Job("scrape --runs 3", Row("rate lost to 20 clients that scrape at 10 Hz, %", fixed("rate_lost_percent", 1), 5, 2, least=False)),
    Job("sets --runs 3", Row("one of 2M members: call to enforced, p99, ms", fixed("call_p99_ms", 1), 20, 5, least=False), variant="one-by-one"),
    Job("sets --runs 3", Row("members poured in, thousands a second", lambda r: (r["changes_per_s"] / 1e3, f"{r['changes_per_s'] / 1e3:.0f}"), 20, 100),
        Row("&nbsp; rate lost meanwhile, %", fixed("rate_lost_percent", 1)), variant="poured"),  # fmt: skip
    Job("records --runs 1 --count 4M", Row("flow records from the rings to the disk, one core, M/s",
        lambda r: (r["records_per_core_second"] / 1e6, f"{r['records_per_core_second'] / 1e6:.1f}"), 0.5)),
    Job("rejudge", Row("1M live flows judged again, s", fixed("seconds"), 2, 1, least=False),
        Row("&nbsp; rate kept meanwhile, %", fixed("rate_kept_percent", 0), 80, 90)),  # fmt: skip
    Job("latency", Row("latency added at half load, p50, us", fixed("added_p50_us", 1), 15, 10, least=False),
        Row("&nbsp; p99, us", fixed("added_p99_us", 1), 80, 50, least=False), variant="half-load"),  # fmt: skip
    Job("latency", Row("rate with and without sampled latency", ratio, 0.98), variant="sampling"),
    Job("mixed --stages", Row("IMIX, 5 % of packets begin a flow, Mpps", rate), Row("&nbsp; cycles by stage", stages)),
    Job("flood", Row("SYN flood of ten times the new flows: goodput, %", fixed("goodput_percent", 2), 99), variant="syn-flood"),
    Job("flood", Row("arbitrary headers against a thousand of them", ratio, 0.5), variant="arbitrary-headers"),
    *(Job("workers", Row(f"{n} workers that hand packets over, against their owners' queues", ratio, 0.6), variant=f"software-{n}") for n in (2, 4, 8)),
)


def run_command(build, command):
    """(lines of JSON, what went wrong). Each command once, whatever number of rows it has."""
    argv = [os.path.join(ROOT, "tools/bench"), *command.split(), "--json", "--no-build", "--build", build]
    try:
        done = subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=_ROW_S)
    except subprocess.TimeoutExpired:
        return [], f"took longer than {_ROW_S} s"
    if done.returncode != 0:
        said = [line for line in done.stderr.splitlines() if line.startswith(("sluice_bench:", "tools/bench:"))]
        return [], (said or [f"code {done.returncode}"])[-1]
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")], ""


def number(value):
    return "-" if value is None else f"{value:g}"


def table(jobs, found):
    """Markdown; (text, how many figures miss their floor). `found`: {command: (lines, what went wrong)}"""
    lines, missed = ["| what | floor | goal | found | spread | command |", "|---|---|---|---|---|---|"], 0
    for job in jobs:
        wrong, result = found[job.command][1], job.result(found)
        for row in job.rows:
            text, spread = wrong or "no result", "-"
            if result is not None:
                text, under = row.judged(result)
                missed += under
                spread = f"{100 * (result.get('ratio_spread') or result['spread']):.0f} %"
            lines.append(f"| {row.what} | {number(row.floor)} | {number(row.goal)} | {text} | {spread} | `tools/bench {job.command}` |")
    return "\n".join(lines), missed


def conditions(environment, minutes):
    e = environment
    load = e["load_average"][0]
    shared = "" if load < 1.5 else "; **other work was going on, so these figures are low and their spread is wide**"
    return (
        f"{e['date'][:16].replace('T', ' ')}, commit `{e['commit']}`{' (with changes)' if e['dirty'] else ''}, {e['cpu_model']}, {e['cores']} cores, "
        f"kernel {e['kernel']}, {e.get('compiler')}, DPDK {e.get('dpdk')}, huge pages: {'yes' if e.get('dpdk_huge_pages') else 'no'} "
        f"(transparent: {e['transparent_huge_pages']}), load {load:.1f} at the start, {minutes:.0f} minutes{shared}."
    )


def update(path, text):
    """Between the two marks, which stay."""
    with open(path, encoding="utf-8") as file:
        document = file.read()
    if document.count(BEGIN) != 1 or document.count(END) != 1:
        raise Trouble(f"{path} has not the two marks of the table", f"put `{BEGIN}` and `{END}` where it shall stand")
    head, rest = document.split(BEGIN)
    with open(path, "w", encoding="utf-8") as file:
        file.write(f"{head}{BEGIN}\n\n{text}\n\n{END}{rest.split(END)[1]}")


def baseline_path(environment):
    return os.path.join(BASELINES, re.sub(r"[^a-z0-9]+", "-", environment["cpu_model"].lower()).strip("-") + ".jsonl")


def write_lines(path, environment, results):
    os.makedirs(os.path.dirname(os.path.abspath(path)), exist_ok=True)
    with open(path, "w", encoding="utf-8") as file:
        file.write("".join(json.dumps(line) + "\n" for line in [{"environment": environment}, *results]))


def held_against(baseline, path):
    """Exit code of `compare`; 0 where there is nothing to be held against."""
    if not os.path.exists(baseline):
        print(f"no baseline of this CPU; tools/bench report --save-baseline makes {os.path.relpath(baseline, ROOT)}")
        return 0
    print(f"against {os.path.relpath(baseline, ROOT)}:")
    return compare.compare(baseline, path, out=sys.stdout)


def report(options):
    jobs = [job for job in JOBS if options.only in job.command]
    if not jobs:
        raise Trouble(f"no row's command has {options.only!r} in it", "tools/bench report without --only")
    if not options.no_build:
        runner.build(options.build, "tests/bench/sluice_bench")
    begun, found = time.monotonic(), {}
    for job in jobs:
        if job.command in found:
            continue
        print(f"tools/bench {job.command}", file=sys.stderr, flush=True)
        found[job.command] = run_command(options.build, job.command)
    lines = [line for results, _ in found.values() for line in results]
    environment = next((line["environment"] for line in lines if "environment" in line), None)
    results = [line for line in lines if "bench" in line]
    text, missed = table(jobs, found)
    print(text)
    failed = [f"{command}: {wrong}" for command, (_, wrong) in found.items() if wrong]
    if environment is None:
        raise Trouble("not one bench gave a result: " + "; ".join(failed), "run one by hand")
    if not options.only and options.update:
        update(DOCUMENT, conditions(environment, (time.monotonic() - begun) / 60) + "\n\n" + text)
    path = options.json_file or os.path.join(options.build, "report.jsonl")
    write_lines(path, environment, results)
    baseline = baseline_path(environment)
    if options.save_baseline:
        write_lines(baseline, environment, results)
    worse = held_against(baseline, path)
    print(f"{missed} figures miss their floor; {len(failed)} commands gave none{': ' + '; '.join(failed) if failed else ''}")
    return 1 if worse or failed else 0
