"""The smallest case that still shows a difference. Every candidate is run on both sides anew: what Sluice and Linux
remember hangs on each step before.
"""
from dataclasses import replace

from .steps import gap


def shrink(case, still_differs, tries_max=400):
    """`still_differs(case)` runs it. `case` must differ. Steps go first (whole conversations, halves, single ones),
    then what mutations did to those that are left. Ends where nothing more can go, or after `tries_max` runs."""
    tries = _Tries(still_differs, tries_max)
    case = _fewest_talks(case, tries)
    while True:
        before = case.steps
        case = _fewest_steps(case, tries)
        case = _fewest_mutations(case, tries)
        if case.steps == before or tries.spent:
            return case


class _Tries:
    def __init__(self, still_differs, most):
        self.still_differs, self.left = still_differs, most

    @property
    def spent(self):
        return self.left <= 0

    def good(self, case):
        if self.spent or not case.steps:
            return False
        self.left -= 1
        return self.still_differs(case)


def _fewest_talks(case, tries):
    """One conversation alone is enough, nearly always."""
    for talk in sorted({step.talk for step in case.steps}):
        alone = replace(case, steps=tuple(step for step in case.steps if step.talk == talk))
        if tries.good(alone):
            return alone
    return case


def without(steps, first, end):
    """The steps but for those of [first, end). Whoever comes next in a conversation that lost one says so: for what it
    acknowledges, and we have not seen, it must not look like an undisturbed one."""
    robbed = {}
    for step in steps[first:end]:
        robbed.setdefault(step.talk, {})[gap(step.kind)] = None
    rest = list(steps[:first])
    for step in steps[end:]:
        for label in robbed.pop(step.talk, ()):
            step = step.placed(label)
        rest.append(step)
    return tuple(rest)


def _fewest_steps(case, tries):
    size = max(1, len(case.steps) // 2)
    while size:
        at = 0
        while at < len(case.steps):
            shorter = replace(case, steps=without(case.steps, at, at + size))
            if tries.good(shorter):
                case = shorter
            else:
                at += size
        size //= 2
    return case


def _fewest_mutations(case, tries):
    for at, step in enumerate(case.steps):
        if step.clean is not None:
            cleaner = replace(case, steps=case.steps[:at] + (step.clean,) + case.steps[at + 1 :])
            if tries.good(cleaner):
                case = cleaner
    return case
