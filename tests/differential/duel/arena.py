"""Both sides together: plays cases, counts, and shrinks what differs."""
import copy
import os
from dataclasses import dataclass, replace

from . import listing
from .generator import case
from .judge import judge, verdicts
from .linux_side import LinuxSide
from .shrink import shrink
from .sluice_side import SluiceSide


@dataclass
class Played:
    case: object
    both: list
    findings: object
    frames: int
    bursts: str


class Arena:
    def __init__(self, lab, intended):
        self.intended = intended
        self.turn = 0
        self.sluice = SluiceSide()
        try:
            self.linux = LinuxSide(lab)
        except BaseException:
            self.sluice.close()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *_error):
        self.sluice.close()
        self.linux.close()

    def _run(self, one, intended):
        self.turn += 1
        arrivals, owners = one.arrivals(self.turn)
        left_sluice, reasons, bursts = self.sluice.run(arrivals)
        both = verdicts(one, left_sluice, reasons, owners, self.linux.run(arrivals), self.turn)
        return Played(one, both, judge(one, both, intended), len(arrivals), bursts)

    def play(self, seed, number):
        return self._run(case(seed, number), self.intended)

    def smallest(self, seed, number, difference, out):
        """Lines that show the smallest case with a difference like this one; its frames are written below `out`."""
        uncounted = copy.deepcopy(self.intended)
        kind = _kind(difference)

        def still_differs(one):
            return any(_kind(d) == kind for d in self._run(one, uncounted).findings.unexplained)

        whole = case(seed, number)
        talk = whole.steps[difference.place].talk
        # Its own conversation, up to there, is tried first.
        near = [step for place, step in enumerate(whole.steps) if step.talk == talk and place <= difference.place]
        start = replace(whole, steps=tuple(near))
        small = shrink(start if still_differs(start) else whole, still_differs)
        played = self._run(small, uncounted)
        shown = next((d for d in played.findings.unexplained if _kind(d) == kind), None)
        if shown is None:
            return ["the difference does not come back: the rig, or one of the sides, is not repeatable"]
        return self._show(played, shown.place, os.path.join(out, f"{seed}-{number}-{difference.place}.pcapng"))

    def smallest_for_bursts(self, seed, number, out):
        """The same where Sluice disagrees with itself, about frames one by one and in bursts."""

        def still_differs(one):
            return self.sluice.run(one.arrivals()[0])[2] is not None

        small = shrink(case(seed, number), still_differs)
        played = self._run(small, copy.deepcopy(self.intended))
        return self._show(played, None, os.path.join(out, f"{seed}-{number}-bursts.pcapng"))

    @staticmethod
    def _show(played, place, path):
        os.makedirs(os.path.dirname(path), exist_ok=True)
        listing.write_pcapng(path, played.case, played.both)
        styles = sorted({played.case.styles[step.talk] for step in played.case.steps})
        end = f"{len(played.case.steps)} steps of {', '.join(styles)}; frames in {path}"
        return [*listing.lines(played.case, played.both, place), end]


def _kind(difference):
    """Differences of one kind have one cause, as far as can be told from outside."""
    f = difference.facts
    return f["proto"], f["kind"], f["sluice"], f["linux"]
