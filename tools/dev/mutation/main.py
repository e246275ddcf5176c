"""The command: picks mutants, tries them in as many copies as there are jobs, says what survived."""
import argparse
import os
import queue
import random
import threading
import time

from .affected import Reach
from .copy import free_copies
from .explained import NAME, Explained
from .places import GROUPS, changed_lines, group_of, mutants_of, sampled, spread
from .planted import FOLDER, planted, slug
from .trial import NOT_COMPILED, NOT_REACHED, SURVIVED, TIMEOUT_MORE_S, Baseline, attempt

ROOT = os.path.realpath(os.path.join(os.path.dirname(__file__), "../../.."))
_SAMPLE = 60
SCORE_WANTED = 85  # per cent of a group (CASES Q23)
JUDGED_FROM = 20  # mutants of a group: of fewer, chance is too large a part


def _arguments(argv):
    parser = argparse.ArgumentParser(prog="tools/dev/mutate")
    parser.add_argument("files", nargs="*")
    parser.add_argument("--group", help=f"with commas, of: {' '.join(GROUPS)}")
    parser.add_argument("--sample", type=int, default=_SAMPLE, help=f"how many (default {_SAMPLE}); 0 = all")
    parser.add_argument("--seed", help="of the sample; default: the environment's SEED, or a new one, which is printed")
    parser.add_argument("--jobs", type=int, default=1, help="copies at work at the same time")
    parser.add_argument("--changed", nargs="?", const="main", metavar="BASE", help="only lines changed since BASE")
    parser.add_argument("--list", action="store_true", help="print the mutants, run nothing")
    parser.add_argument("--explained", action="store_true", help=f"try those of {NAME}: none may be killed")
    parser.add_argument("--planted", nargs="?", const="", metavar="REGEX", help=f"the bugs of {FOLDER}: all must be noticed")
    parser.add_argument("--far", action="store_true", help="the other process's tests too")
    parser.add_argument("--minutes", type=float, default=0, help="start no mutant after that many; the groups take turns")
    parser.add_argument("--self-test", action="store_true")
    options = parser.parse_args(argv)
    if options.group and (unknown := set(options.group.split(",")) - set(GROUPS)):
        parser.error(f"unknown group: {', '.join(sorted(unknown))}")
    options.files = [os.path.relpath(os.path.abspath(file), ROOT) for file in options.files]
    for file in options.files:
        if not os.path.isfile(os.path.join(ROOT, file)):
            parser.error(f"{file}: no such file")
    return options


def _files(options):
    files = list(options.files)
    groups = options.group.split(",") if options.group else [] if files else list(GROUPS)
    return files + [file for group in groups for file in GROUPS[group] if file not in files]


def _pick(options, explained, seed):
    """(mutants to try, those that are explained)."""
    files = _files(options)
    lines = changed_lines(ROOT, options.changed, files) if options.changed else None
    mutants = [
        mutant
        for file in files
        for mutant in mutants_of(ROOT, file)
        if lines is None or mutant.line in lines.get(file, ())
    ]
    known = [mutant for mutant in mutants if explained.why(mutant)]
    if options.explained:
        return known, []
    pick = spread if options.minutes else sampled
    return pick([mutant for mutant in mutants if not explained.why(mutant)], options.sample, seed), known


def _report_one(outcome):
    by = f" by {outcome.by} {outcome.case}".rstrip() if outcome.noticed else ""
    print(f"{outcome.verdict}{by} ({outcome.seconds:.0f} s): {outcome.mutant}", flush=True)


def _prepared(mutants, copies, far, timeout_more_s):
    """What the mutants' files reach, and how those tests do unbroken. Stops with a sentence if one fails."""
    print(f"building {len(copies)} private cop{'y' if len(copies) == 1 else 'ies'} of the tree ...", flush=True)
    files = sorted({mutant.file for mutant in mutants})
    cores = len(os.sched_getaffinity(0))
    for copy in copies:
        copy.refresh()
        if not all(file.endswith(".cpp") for file in files) and (complaint := copy.make(jobs=cores)):
            raise SystemExit(f"the tree does not build unbroken: {complaint}")
        reach = Reach(copy.build, far)
        wanted = sorted({program for file in files for program in reach.tests_of(file)}, key=lambda p: p.name)
        if wanted and (complaint := copy.make(*(program.target for program in wanted), jobs=cores)):
            raise SystemExit(f"the tree does not build unbroken: {complaint}")
    baseline = Baseline(copies[0], wanted, timeout_more_s)
    if baseline.failing:
        raise SystemExit(f"fails unbroken, so its failing would say nothing: {', '.join(baseline.failing)}")
    print("tests: " + ", ".join(f"{p.name} {baseline.seconds[p.name]:.1f} s" for p in baseline.in_order(wanted)))
    return reach, baseline


def try_all(mutants, copies, minutes=0.0, far=False, timeout_more_s=TIMEOUT_MORE_S):
    """Outcomes, in the order in which they came."""
    reach, baseline = _prepared(mutants, copies, far, timeout_more_s)
    work, outcomes, lock = queue.Queue(), [], threading.Lock()
    for mutant in mutants:
        work.put(mutant)
    end = time.monotonic() + minutes * 60 if minutes else None

    def worker(copy):
        while end is None or time.monotonic() < end:
            try:
                mutant = work.get_nowait()
            except queue.Empty:
                return
            outcome = attempt(mutant, copy, reach, baseline)
            with lock:
                outcomes.append(outcome)
                _report_one(outcome)

    threads = [threading.Thread(target=worker, args=(copy,)) for copy in copies]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return outcomes


def _scores(outcomes, known, judged):
    """A line for each group; returns how many groups are below what is wanted. A few mutants say nothing about a group."""
    below = 0
    for group in sorted({group_of(outcome.mutant.file) for outcome in outcomes}):
        of_group = [outcome for outcome in outcomes if group_of(outcome.mutant.file) == group]
        tried = [outcome for outcome in of_group if outcome.verdict != NOT_COMPILED]
        noticed = sum(outcome.noticed for outcome in tried)
        explained = sum(group_of(mutant.file) == group for mutant in known)
        share = 100 * noticed / max(len(tried), 1)
        said = (f"{share:.0f} % ({noticed} of {len(tried)} noticed; {len(of_group) - len(tried)} did not compile, "
                f"{explained} explained ones left out)")
        if not judged or len(tried) < JUDGED_FROM:
            print(f"score {group}: {said}" + (f"; judged from {JUDGED_FROM} on" if judged else ""))
        elif share < SCORE_WANTED:
            below += 1
            print(f"FAIL mutation/{group}: {said}, wanted {SCORE_WANTED} %")
        else:
            print(f"ok mutation/{group}: {said}")
    return below


def report(options, outcomes, known, count):
    """Returns the exit code. Changed lines and named files have no survivors; of a sample each group has its score."""
    if options.explained:
        wrong = [outcome for outcome in outcomes if outcome.noticed]
        for outcome in wrong:
            print(f"{NAME} calls it equivalent, but {outcome.by} notices it: {outcome.mutant}")
        print(f"{len(outcomes) - len(wrong)} of {len(outcomes)} explained mutants survive, as they should")
        return 1 if wrong else 0
    strict = bool(options.changed or options.files)
    below = _scores(outcomes, known, not strict)
    left = [outcome for outcome in outcomes if outcome.verdict in (SURVIVED, NOT_REACHED)]
    for outcome in left:
        mutant = outcome.mutant
        print(f"survivor {mutant.file}:{mutant.line}: {mutant.what}\n    {mutant.before}\n    {mutant.after}\n"
              f"    ran: {', '.join(outcome.ran) or 'no test reaches this file'}")
    if len(outcomes) < count:
        print(f"time is over: {count - len(outcomes)} of {count} were not tried")
    said = f"{len(left)} unexplained survivors of {len(outcomes)} mutants"
    if not strict:
        print(said)
        return 1 if below else 0
    print(f"{'FAIL' if left else 'ok'} mutation/changed: {said}")
    return 1 if left else 0


def _try_planted(options):
    """Every bug is a result line of its own. Returns the exit code."""
    mutants, complaints = planted(ROOT, options.planted)
    if complaints:
        print("\n".join(complaints))
        return 1
    if options.list:
        for mutant in mutants:
            print(f"{mutant}\n    => {mutant.after}")
        return 0
    outcomes = try_all(mutants, free_copies(ROOT, max(1, min(options.jobs, len(mutants)))), options.minutes, options.far)
    for outcome in outcomes:
        name = f"planted/{slug(outcome.mutant.what)}"
        if outcome.noticed:
            print(f"ok {name}: {outcome.by} {outcome.case or outcome.verdict}")
        else:
            print(f"FAIL {name}: {outcome.verdict} {outcome.by or ', '.join(outcome.ran)}")
    print(f"{sum(outcome.noticed for outcome in outcomes)} of {len(outcomes)} planted bugs noticed, {len(mutants)} listed")
    return 0 if len(outcomes) == len(mutants) and all(outcome.noticed for outcome in outcomes) else 1


def main(argv):
    options = _arguments(argv)
    if options.self_test:
        from .self_test import self_test

        return self_test(ROOT)
    if options.planted is not None:
        return _try_planted(options)
    explained = Explained(ROOT)
    if complaints := explained.complaints([mutant for file in explained.files() for mutant in mutants_of(ROOT, file)]):
        print("\n".join(complaints))
        return 1
    seed = options.seed or os.environ.get("SEED") or str(random.SystemRandom().randrange(1 << 32))
    mutants, known = _pick(options, explained, seed)
    if options.list:
        for mutant in mutants:
            print(f"{mutant}\n    => {mutant.after}")
        return 0
    print(f"seed {seed}, {len(mutants)} mutants")
    if not mutants:
        return 0
    copies = free_copies(ROOT, max(1, min(options.jobs, len(mutants))))
    return report(options, try_all(mutants, copies, options.minutes, options.far), known, len(mutants))
