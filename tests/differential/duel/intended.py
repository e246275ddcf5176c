"""The list of differences that are meant (../intended.yaml): which one explains a step, and how often each did.

    - id: D3-data-after-reset
      why: what and why, in words
      source: where it was decided
      until: windows            # optional: the entry goes when Sluice has learned that
      clean: true               # optional: also in conversations that no mutation has touched
      rare: "SEED:CASE"         # optional: of ten million frames a few need it, or none, and this case does; `unknown`
                                # where nobody has written down which
      when: {proto: tcp, after: rst, sluice: tcp_closed, linux: pass}
      then: judged              # what follows in the conversation is judged as before; `unjudged`: the two sides may
                                # have remembered different things, so that nothing more can be said

`when` must hold as a whole, and nothing of `unless` (optional) may hold. Their keys are the facts of judge.facts; a
value is what the fact must be, a list one of several. Where the fact itself is a set (labels, after, missing, cause),
one common member is enough.

    labels   what mutations did to this very step
    after    labels and kinds of the steps before it, and doubled_KIND of those that came a second time
    missing  kinds of steps of this conversation that should have passed Sluice before, and did not as they were meant
    cause    one of the three: a label, something before, or `missing_KIND`

An entry names what brought the difference about, by one of these four or by the conversation's style; else a bug would
hide behind it. For the same reason none holds for an undisturbed conversation, unless it says so.
"""
import re
from dataclasses import dataclass

import yaml

FACTS = {
    "proto", "family", "kind", "side", "style", "labels", "after", "missing", "cause", "flags", "payload", "sluice",
    "linux", "disturbed",
}  # fmt: skip
_CAUSES = {"labels", "after", "missing", "cause", "style"}
_KEYS = {"id", "why", "source", "when", "unless", "then", "until", "clean", "rare"}
_RARE = re.compile(r"\d+:\d+|unknown|")


class Mistake(Exception):
    """In the list itself."""


@dataclass
class Entry:
    id: str
    why: str
    source: str
    when: dict
    unless: dict
    judged_after: bool
    until: str = ""
    clean: bool = False
    rare: str = ""
    hits: int = 0

    def explains(self, facts):
        if not facts["disturbed"] and not self.clean:
            return False
        return all(_holds(facts[name], wanted) for name, wanted in self.when.items()) and not any(
            _holds(facts[name], wanted) for name, wanted in self.unless.items()
        )


def _holds(fact, wanted):
    wanted = wanted if isinstance(wanted, list) else [wanted]
    if isinstance(fact, (set, frozenset)):
        return not fact.isdisjoint(wanted)
    return fact in wanted


def _entry(raw):
    name = raw.get("id", "an entry without id")
    if missing := {"id", "why", "source", "when", "then"} - set(raw):
        raise Mistake(f"{name}: {', '.join(sorted(missing))} is missing")
    if unknown := set(raw) - _KEYS:
        raise Mistake(f"{name}: unknown key {', '.join(sorted(unknown))}")
    unless = raw.get("unless", {})
    if unknown := (set(raw["when"]) | set(unless)) - FACTS:
        raise Mistake(f"{name}: unknown fact {', '.join(sorted(unknown))}")
    if raw["then"] not in ("judged", "unjudged"):
        raise Mistake(f"{name}: then: {raw['then']} is neither judged nor unjudged")
    # Without both verdicts an entry would excuse more than it says.
    if not {"sluice", "linux"} <= set(raw["when"]):
        raise Mistake(f"{name}: when: needs both sluice and linux")
    if not _CAUSES & set(raw["when"]):
        raise Mistake(f"{name}: when: names no cause, which is one of {', '.join(sorted(_CAUSES))}")
    rare = str(raw.get("rare", ""))
    if not _RARE.fullmatch(rare):
        raise Mistake(f"{name}: rare: {rare} is neither \"SEED:CASE\" nor unknown")
    return Entry(
        name, raw["why"], raw["source"], raw["when"], unless, raw["then"] == "judged", raw.get("until", ""),
        raw.get("clean", False), rare,
    )  # fmt: skip


class Intended:
    def __init__(self, raw_entries):
        self.entries = [_entry(raw) for raw in raw_entries]
        names = [entry.id for entry in self.entries]
        if twice := {name for name in names if names.count(name) > 1}:
            raise Mistake(f"{', '.join(sorted(twice))}: more than once")

    @classmethod
    def read(cls, path):
        with open(path, encoding="utf-8") as file:
            return cls(yaml.safe_load(file)["differences"])

    def explain(self, facts):
        """The first entry that explains a difference, or None. Does not count."""
        return next((entry for entry in self.entries if entry.explains(facts)), None)

    def idle(self):
        return [entry for entry in self.entries if entry.hits == 0]
