"""tests/planted/*.yaml: bugs that somebody might make, each of which a test has to notice.

    - bug: upper edge off by one
      file: dataplane/flow/tcp_window.hpp
      text: if (at > history + 2 * offered_peer)         # how the lines are broken does not matter
      becomes: if (at >= history + 2 * offered_peer)     # may be empty
      by: tcp_property_test      # the test program that is tried first; the others come when it stays green

A text that no longer stands in its file exactly once is an error, so that the list follows the code.
"""
import glob
import os
import re

import yaml

from .mutant import Mutant

FOLDER = "tests/planted"
_NEEDED, _KEYS = {"bug", "file", "text", "becomes"}, {"bug", "file", "text", "becomes", "by"}


class _KeysOnce(yaml.SafeLoader):
    """A key that stands twice in an entry is an error; YAML's own reader takes the last one and says nothing."""

    def construct_mapping(self, node, deep=False):
        keys = [key.value for key, _ in node.value]
        if len(set(keys)) != len(keys):
            raise yaml.YAMLError(f"line {node.start_mark.line + 1}: a key of this entry stands twice")
        return super().construct_mapping(node, deep)


def slug(bug):
    return re.sub(r"[^a-z0-9]+", "-", bug.lower()).strip("-")


def mutant_of(entry, text):
    """The entry as a mutant of its file's `text`. ValueError says why there is none."""
    anyhow = re.compile(r"\s+".join(re.escape(word) for word in entry["text"].split()))
    places = list(anyhow.finditer(text))
    if len(places) != 1:
        raise ValueError(f"`{entry['bug']}`: {entry['file']} has {len(places)} places like `{entry['text']}`, not one")
    start, end = places[0].span()
    line = text.count("\n", 0, start) + 1
    before, after = " ".join(entry["text"].split()), " ".join(entry["becomes"].split()) or "(nothing)"
    return Mutant(entry["file"], start, end, entry["becomes"], line, before, after, entry["bug"], entry.get("by", ""))


def planted(root, regex=""):
    """(mutants whose bug's name the regex finds, complaints about the list)."""
    mutants, complaints, seen = [], [], set()
    for path in sorted(glob.glob(os.path.join(root, FOLDER, "*.yaml"))):
        name = os.path.relpath(path, root)
        with open(path, encoding="utf-8") as file:
            try:
                entries = yaml.load(file, _KeysOnce)
            except yaml.YAMLError as error:
                complaints.append(f"{name}: {error}")
                continue
        for number, entry in enumerate(entries, 1):
            if set(entry) - _KEYS or _NEEDED - set(entry):
                complaints.append(f"{name}: entry {number} has not the keys bug, file, text, becomes (and perhaps by)")
                continue
            if entry["bug"] in seen:
                complaints.append(f"{name}: `{entry['bug']}` stands twice")
            seen.add(entry["bug"])
            try:
                with open(os.path.join(root, entry["file"]), encoding="utf-8") as file:
                    mutant = mutant_of(entry, file.read())
            except (OSError, ValueError) as error:
                complaints.append(f"{name}: {error}")
                continue
            if re.search(regex, entry["bug"]):
                mutants.append(mutant)
    return mutants, complaints
