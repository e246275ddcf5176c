"""Both sides' outcomes of one case become findings: agreement, an intended difference, or one that nothing explains."""
from dataclasses import dataclass, field

from .generator import ident_of
from .steps import proto_name

_FLAG_NAMES = "FSRPAUEC"
# A step with such a label is not what its kind stands for: its numbers are nobody's.
_FORGED = ("seq_", "rst_", "syn_", "fin_", "data_", "flags_other")


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


def facts(step, style, after, disturbed, sluice, linux):
    """What the entries of intended.yaml may ask about."""
    packet = step.packet
    proto = proto_name(packet)
    return {
        "proto": proto,
        "family": packet.family,
        "kind": step.kind,
        "side": "reply" if step.reply else "original",
        "style": style,
        "labels": set(step.labels),
        "after": after,
        "flags": flag_text(packet.flags) if proto == "tcp" else "",
        "payload": bool(packet.payload),
        "disturbed": disturbed,
        "sluice": "pass" if sluice.l4 is not None else sluice.reason,
        "linux": linux.text,
    }


def judge(case, both, intended):
    """`both`: from `verdicts`. Counts the hits of the entries of `intended`."""
    findings = Findings()
    after = {number: set() for number in case.styles}
    disturbed = set()  # conversations in which a mutation has been at work
    silent = set()  # conversations of which nothing more can be said
    for place, (step, (sluice, linux)) in enumerate(zip(case.steps, both)):
        earlier = after[step.talk]
        if step.labels:
            disturbed.add(step.talk)
        if step.talk in silent:
            findings.unjudged += 1
        elif sluice.l4 == linux.l4:
            if sluice.l4 is not None:
                findings.agreed_pass += 1
            else:
                findings.agreed_drop += 1
                findings.agreed[sluice.reason] = findings.agreed.get(sluice.reason, 0) + 1
        else:
            difference = Difference(
                place,
                sluice,
                linux,
                facts(step, case.styles[step.talk], set(earlier), step.talk in disturbed, sluice, linux),
            )
            entry = None
            if sluice.l4 is None or linux.l4 is None:
                entry = intended.explain(difference.facts)
            if entry is None:
                findings.unexplained.append(difference)
                silent.add(step.talk)
            else:
                entry.hits += 1
                findings.intended.append((entry, difference))
                if not entry.judged_after:
                    silent.add(step.talk)
        earlier.update(step.labels)
        if not any(label.startswith(_FORGED) for label in step.labels):
            earlier.add(step.kind)
    return findings
