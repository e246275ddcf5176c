"""Seeded cases. A case is a batch of conversations, interleaved; the same seed and number give the same case always."""
import random
from dataclasses import dataclass

from . import mutations, other_talks, tcp_talks
from .frames import INSIDE, OUTSIDE, build
from .steps import Ends

TALKS_PER_CASE = 100
_IDENTS_PER_TURN = 1543  # steps of a case, at most; a prime, so that turns of different rounds do not line up
_V4_IDENTS = 65000
_V6_IDENT_FIRST, _V6_IDENTS = 0x10000, 0xE0000  # flow labels begin where no 16-bit number is one


@dataclass(frozen=True, slots=True)
class Case:
    """`steps` in the order in which they arrive; `styles` by number of conversation."""

    seed: int
    number: int
    steps: tuple
    styles: dict

    def arrivals(self, turn=0):
        """([(port, frame)], [the step of each frame by its place in `steps`])."""
        frames, owners = [], []
        for place, step in enumerate(self.steps):
            for frame in build(step.packet, step.port, ident_of(step, place, turn)):
                frames.append((step.port, frame))
                owners.append(place)
        return frames, owners


def ident_of(step, place, turn=0):
    """Under which both sides' outputs are found again. `turn` counts what was played: the oracle still has fragments of
    datagrams that were never whole, and they must not meet others of their name."""
    number = turn * _IDENTS_PER_TURN + place
    return 1 + number % _V4_IDENTS if step.packet.family == 4 else _V6_IDENT_FIRST + number % _V6_IDENTS


class _Whole:
    """What mutations ask of a conversation that has no windows and ports of its own to tell."""

    def __init__(self, ends):
        self.ends, self.ports = ends, (0, 0)


def _talk(rng, ends):
    if rng.random() < 0.6:
        style, tcp = tcp_talks.talk(rng, ends)
        return style, tcp, tcp.steps
    kinds = list(other_talks.TALKS)
    style, steps = rng.choices(kinds, list(other_talks.TALKS.values()))[0](rng, ends)
    return style, _Whole(ends), steps


def _interleaved(rng, talks):
    """Each conversation keeps its order; a few are on at a time, as more would only slow down reading a listing."""
    waiting, active, out = list(reversed(talks)), [], []
    while waiting or active:
        while waiting and len(active) < 8:
            active.append(list(reversed(waiting.pop())))
        one = rng.choice(active)
        for _step in range(rng.randrange(1, 4)):
            if one:
                out.append(one.pop())
        active = [steps for steps in active if steps]
    return out


def case(seed, number, talks=TALKS_PER_CASE):
    rng = random.Random(f"{seed}:{number}")
    styles, scripts = {}, []
    for talk_number in range(1, talks + 1):
        ends = Ends(talk_number, rng.choice((4, 4, 6)), rng.choice((OUTSIDE, INSIDE)))
        style, talk, steps = _talk(rng, ends)
        styles[talk_number] = style
        scripts.append(mutations.mutate(rng, talk, steps, rng.choices((0, 1, 2, 3), (5, 4, 2, 1))[0]))
    return Case(seed, number, tuple(_interleaved(rng, scripts)), styles)
