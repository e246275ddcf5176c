"""One mutant: a piece of a file's text and what stands there instead."""
from dataclasses import dataclass


@dataclass(frozen=True)
class Mutant:
    file: str
    start: int
    end: int
    new: str
    line: int  # of `start`, counted from 1
    before: str  # the line as it is, stripped
    after: str  # the same line when broken, stripped
    what: str
    first: str = ""  # the test program that is tried before the others

    def apply(self, text):
        return text[: self.start] + self.new + text[self.end :]

    def __str__(self):
        return f"{self.file}:{self.line}: {self.what}: {self.before}"

    @property
    def identity(self):
        """Does not change when lines above come or go."""
        return self.file, self.before, self.after


def make(file, text, start, end, new, what):
    head = text.rfind("\n", 0, start) + 1
    tail = text.find("\n", start)
    before = text[head:tail].strip()
    after = (text[head:start] + new + text[min(end, tail) : tail]).strip()
    return Mutant(file, start, end, new, text.count("\n", 0, start) + 1, before, after, what)
