"""tests/mutants.yaml: mutants that no test can tell from the original, each with its reason.

    - file: dataplane/flow/flow_table.cpp
      line: "if (std::popcount(free_second) > std::popcount(free_slots)) {"
      becomes: "if (std::popcount(free_second) >= std::popcount(free_slots)) {"
      why: with as many free slots in both, either bucket will do
      places: 2            # only where the same line stands more than once

An entry goes by the line's text, not by its number. One that fits no line any more, or more lines than it says, is an
error: somebody changed the line, and has to look again.
"""
import collections
import os

import yaml

NAME = "tests/mutants.yaml"
_KEYS = {"file", "line", "becomes", "why", "places"}


class Explained:
    def __init__(self, root):
        with open(os.path.join(root, NAME), encoding="utf-8") as file:
            self._entries = yaml.safe_load(file) or []
        self._by_identity = {self._identity(entry): entry for entry in self._entries}

    @staticmethod
    def _identity(entry):
        return entry.get("file"), entry.get("line"), entry.get("becomes")

    def files(self):
        return {entry["file"] for entry in self._entries if "file" in entry}

    def why(self, mutant):
        entry = self._by_identity.get(mutant.identity)
        return entry["why"] if entry else None

    def complaints(self, mutants):
        """`mutants`: all of every file that the list names. Returns what is wrong with the list."""
        bad = [f"{NAME}: entry {i + 1} has not the keys file, line, becomes, why" for i, entry in
               enumerate(self._entries) if set(entry) - _KEYS or not {"file", "line", "becomes", "why"} <= set(entry)]
        if bad:
            return bad
        places = collections.Counter(mutant.identity for mutant in mutants)
        for entry in self._entries:
            found, said = places[self._identity(entry)], entry.get("places", 1)
            if found != said:
                bad.append(f"{NAME}: {entry['file']}: `{entry['line']}` -> `{entry['becomes']}`: "
                           f"{found} places, the entry says {said}")
        if len(self._by_identity) != len(self._entries):
            bad.append(f"{NAME}: an entry stands twice")
        return bad
