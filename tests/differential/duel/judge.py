"""Both sides' outcomes of one case become findings: agreement, an intended difference, or one that nothing explains."""
import collections
from dataclasses import dataclass, field

from .generator import ident_of
from .steps import gap, is_of_place, proto_name

_FLAG_NAMES = "FSRPAUEC"
# A step with such a label is not what its kind stands for: its numbers are nobody's.
_FORGED = ("seq_", "rst_", "syn_", "fin_", "data_", "sctp_", "flags_other")


def flag_text(flags):
    return "".join(name for bit, name in enumerate(_FLAG_NAMES) if flags >> bit & 1) or "none"


@dataclass
class Verdict:
    """`l4`: what came out; None = nothing did. `reason`: Sluice's, of the last frame that it dropped for this step."""

    l4: bytes = None
    reason: str = "-"

    @property
    def text(self):
        if self.l4 is not None:
            return "pass"
        return self.reason if self.reason != "-" else "drop"


@dataclass
class Difference:
    place: int  # in Case.steps
    sluice: Verdict
    linux: Verdict
    facts: dict

    def text(self):
        if self.sluice.l4 is not None and self.linux.l4 is not None:
            return "both pass it, with different bytes"
        return f"Sluice: {self.facts['sluice']}, Linux: {self.linux.text}"


@dataclass
class Findings:
    agreed_pass: int = 0
    agreed_drop: int = 0
    unjudged: int = 0
    intended: list = field(default_factory=list)  # (entry, Difference)
    unexplained: list = field(default_factory=list)
    agreed: dict = field(default_factory=dict)  # Sluice's reason -> drops on which both agree
    seen: collections.Counter = field(default_factory=collections.Counter)  # by protocol
    passed: collections.Counter = field(default_factory=collections.Counter)  # by protocol, on both sides


def verdicts(case, left_sluice, reasons, owners, left_linux, turn=0):
    """[(Sluice's, Linux's)] by step. `turn` as in Case.arrivals."""
    dropped = {}
    for owner, reason in zip(owners, reasons):
        if reason != "-":
            dropped[owner] = reason
    out = []
    for place, step in enumerate(case.steps):
        key = step.packet.family, ident_of(step, place, turn)
        out.append((
            Verdict(left_sluice[1 - step.port].l4(*key), dropped.get(place, "-")),
            Verdict(left_linux[1 - step.port].l4(*key)),
        ))  # fmt: skip
    return out


class History:
    """Of one conversation, up to a step. `earlier`: kinds and labels of what came before, and doubled_KIND of what came
    again as it was. `missing`: kinds of its own steps that have not come through Sluice as they were meant, though by now
    they should have. `disturbed`: a mutation has been at work."""

    def __init__(self, late):
        self.earlier, self.missing, self.disturbed = set(), set(), False
        self.late = late  # kinds of steps that come later than they should, in their order

    def meet(self, step):
        self.disturbed |= bool(step.labels)
        self.missing.update(label.removeprefix(gap("")) for label in step.labels if label.startswith(gap("")))
        if "overtaking" in step.labels:
            self.missing.update(self.late)
        if "swapped" in step.labels and self.late:
            self.late.pop(0)

    def leave(self, step, sluice):
        self.earlier.update(step.labels)
        if "doubled" in step.labels and all(map(is_of_place, step.labels)):
            self.earlier.add(f"doubled_{step.kind}")
        if not any(label.startswith(_FORGED) for label in step.labels):
            self.earlier.add(step.kind)
        meant = step.clean or step
        of_nobody = step.clean is None and not all(map(is_of_place, step.labels))
        if not of_nobody and (sluice.l4 is None or step.packet != meant.packet or step.port != meant.port):
            self.missing.add(meant.kind)


def _histories(case):
    late = {number: [] for number in case.styles}
    for step in case.steps:
        if "swapped" in step.labels:
            late[step.talk].append((step.clean or step).kind)
    return {number: History(kinds) for number, kinds in late.items()}


def facts(step, style, history, sluice, linux):
    """What the entries of intended.yaml may ask about."""
    packet = step.packet
    proto = proto_name(packet)
    labels = set(step.labels)
    return {
        "proto": proto,
        "family": packet.family,
        "kind": step.kind,
        "side": "reply" if step.reply else "original",
        "style": style,
        "labels": labels,
        "after": set(history.earlier),
        "missing": set(history.missing),
        "cause": labels | history.earlier | {f"missing_{kind}" for kind in history.missing},
        "flags": flag_text(packet.flags) if proto == "tcp" else "",
        "payload": bool(packet.payload),
        "disturbed": history.disturbed,
        "sluice": "pass" if sluice.l4 is not None else sluice.reason,
        "linux": linux.text,
    }


def judge(case, both, intended):
    """`both`: from `verdicts`. Counts the hits of the entries of `intended`."""
    findings = Findings()
    histories = _histories(case)
    silent = set()  # conversations of which nothing more can be said
    for place, (step, (sluice, linux)) in enumerate(zip(case.steps, both)):
        history = histories[step.talk]
        history.meet(step)
        proto = proto_name(step.packet)
        findings.seen[proto] += 1
        if step.talk in silent:
            findings.unjudged += 1
        elif sluice.l4 == linux.l4:
            if sluice.l4 is not None:
                findings.agreed_pass += 1
                findings.passed[proto] += 1
            else:
                findings.agreed_drop += 1
                findings.agreed[sluice.reason] = findings.agreed.get(sluice.reason, 0) + 1
        else:
            known = facts(step, case.styles[step.talk], history, sluice, linux)
            difference = Difference(place, sluice, linux, known)
            entry = None
            if sluice.l4 is None or linux.l4 is None:
                entry = intended.explain(known)
            if entry is None:
                findings.unexplained.append(difference)
                silent.add(step.talk)
            else:
                entry.hits += 1
                findings.intended.append((entry, difference))
                if not entry.judged_after:
                    silent.add(step.talk)
        history.leave(step, sluice)
    return findings
