"""What a whole run adds up to, and whether that says enough."""
import collections
from dataclasses import dataclass, field

# Of all datagrams. Runs have 5 %, 1.6 %, and 72 to 92 % by protocol.
_UNJUDGED_MAX, _INTENDED_MAX, _PASSED_MIN = 0.08, 0.03, 0.5


@dataclass
class Tally:
    frames: int = 0
    cases: int = 0
    steps: int = 0
    agreed_pass: int = 0
    agreed_drop: int = 0
    unjudged: int = 0
    unexplained: list = field(default_factory=list)  # (case number, Difference)
    bursts: list = field(default_factory=list)  # (case number, complaint)
    agreed: collections.Counter = field(default_factory=collections.Counter)
    intended: int = 0
    seen: collections.Counter = field(default_factory=collections.Counter)
    passed: collections.Counter = field(default_factory=collections.Counter)

    def add(self, played):
        found = played.findings
        self.cases += 1
        self.frames += played.frames
        self.steps += len(played.case.steps)
        self.agreed_pass += found.agreed_pass
        self.agreed_drop += found.agreed_drop
        self.unjudged += found.unjudged
        self.agreed.update(found.agreed)
        self.intended += len(found.intended)
        self.seen.update(found.seen)
        self.passed.update(found.passed)
        self.unexplained += [(played.case.number, difference) for difference in found.unexplained]
        if played.bursts:
            self.bursts.append((played.case.number, played.bursts))

    def too_little(self):
        """Sentences: where so little was judged, or so much excused, that no difference found means nothing."""
        if self.unjudged > _UNJUDGED_MAX * self.steps:
            yield f"{self.unjudged} of {self.steps} datagrams are not judged, more than {_UNJUDGED_MAX:.0%}"
        if self.intended > _INTENDED_MAX * self.steps:
            yield f"{self.intended} of {self.steps} datagrams differ on purpose, more than {_INTENDED_MAX:.0%}"
        for proto, seen in self.seen.items():
            if self.passed[proto] < _PASSED_MIN * seen:
                yield f"only {self.passed[proto]} of {seen} datagrams of {proto} pass on both sides"

    def lines(self, intended):
        yield (
            f"{self.frames} frames, {self.steps} datagrams, {self.cases} cases: {self.agreed_pass} pass on both sides, "
            f"{self.agreed_drop} on neither, {self.intended} intended differences, {len(self.unexplained)} unexplained, "
            f"{self.unjudged} not judged"
        )
        yield "both drop: " + ", ".join(f"{reason} {count}" for reason, count in self.agreed.most_common())
        for entry in intended.entries:
            if entry.hits:
                until = f" (until {entry.until})" if entry.until else ""
                yield f"intended {entry.hits:6}  {entry.id}{until}"
