"""Words that mean unfinished work, words that we replaced, and places that mean nothing to a reader."""
import re

# Assembled, so that this file does not find itself.
_UNFINISHED = ["TO" + "DO", "FIX" + "ME", "X" * 3, "for" + " now", "place" + "holder", "not " + "implemented"]
_PLACES = ["/wo" + "rk/", "/tmp/" + "wt", "npm" + "js.org", "deb." + "debian.org", "pypi." + "org"]
_PATTERNS = [
    (re.compile(r"\b(" + "|".join(_UNFINISHED) + r")\b"), "unfinished work: finish it or leave it out"),
    (re.compile(r"\b[Ss]tub(bed|s)?\b"), "unfinished work: finish it or leave it out"),
    (re.compile("|".join(re.escape(place) for place in _PLACES)), "a place that a reader does not have"),
]
_EXEMPT = ("LICENSE",)


def forbidden(tree):
    complaints = []
    for name in tree.files:
        if name in _EXEMPT or not tree.is_text(name):
            continue
        for number, line in enumerate(tree.text(name).split("\n"), 1):
            for pattern, why in _PATTERNS:
                if found := pattern.search(line):
                    complaints.append(f"{name}:{number}: `{found[0]}`: {why}")
    return complaints
