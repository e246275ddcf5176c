"""Breaks inside an expression: comparisons, constants, arithmetic, boolean operators, named values of an enumeration."""
import hashlib
import re

from .mutant import make
from .tokens import judged, spaced, tokens_of

_COMPARISONS = {"<": "<=", "<=": "<", ">": ">=", ">=": ">", "==": "!=", "!=": "=="}
_BOOLEAN = {"&&": "||", "||": "&&"}
_ARITHMETIC = {
    "+": "-", "-": "+", "*": "+", "/": "*", "%": "/", "<<": ">>", ">>": "<<", "&": "|", "|": "&", "^": "&",
}  # fmt: skip
_ASSIGNMENT = {"+=": "-=", "-=": "+=", "|=": "&=", "&=": "|=", "^=": "&=", "<<=": ">>=", ">>=": "<<="}
_STEPS = {"++": "--", "--": "++"}
_SPACED = {**_COMPARISONS, **_BOOLEAN, **_ARITHMETIC, **_ASSIGNMENT}
_KINDS = (
    (_COMPARISONS, "comparison"), (_BOOLEAN, "boolean"), (_ARITHMETIC, "arithmetic"), (_ASSIGNMENT, "arithmetic"),
)  # fmt: skip

# Enumerations and their short names in .cpp files. One value is replaced by another that the same file uses.
ENUMERATIONS = {
    "Asker", "C", "Check", "Direction", "DropReason", "EventKind", "Fate", "FlowEnd", "FlowPhase", "FlowState",
    "IpFamily", "Kind", "L4Proto", "P", "PacketClass", "PageSize", "R", "RefuseReason", "RuleLog", "RuleMode",
    "SectionKind", "TcpOutcome", "TrackKind", "Verdict", "WireAction", "flow_flag", "tcp_flag",
}  # fmt: skip

# Cells of a table that are names of their own: state transitions.
CELLS = {"stay", "quiet", "repeated", "reset", "kBadFlags", "kBadAck", "kClosed"}

_INTEGER = re.compile(r"^(0[xX][0-9a-fA-F']+|\d[\d']*)([uUlLzZ]*)$")


def expression_mutants(file, text):
    tokens = tokens_of(text)
    values = _values_by_enumeration(tokens)
    cells = sorted({token.text for token in tokens if token.text in CELLS})
    for i in judged(tokens):
        token = tokens[i]
        if token.kind == "mark":
            yield from _mark(file, text, tokens, i)
        elif token.kind == "number":
            yield from _number(file, text, token)
        elif token.text in ("true", "false"):
            other = "false" if token.text == "true" else "true"
            yield _replaced(file, text, token, other, "constant")
        elif _is_enumeration_value(tokens, i):
            yield from _enumeration_value(file, text, tokens, i, values)
        elif token.text in CELLS and _is_cell(tokens, i):
            others = [cell for cell in cells if cell != token.text]
            if others:
                yield _replaced(file, text, token, _one_of(others, text, token), "transition")


def _one_of(choices, text, token):
    """One of the choices, which stays the same wherever the line moves and, nearly always, when choices come or go:
    tests/mutants.yaml goes by the line as it is broken."""
    head = text.rfind("\n", 0, token.start) + 1
    key = f"{text[head : token.end].strip()} {text[token.end : text.find(chr(10), token.end)]}"
    return max(choices, key=lambda choice: hashlib.sha256(f"{key} {choice}".encode()).digest())


def _replaced(file, text, token, new, kind):
    return make(file, text, token.start, token.end, new, f"{kind} `{token.text}` -> `{new}`")


def _mark(file, text, tokens, i):
    token = tokens[i]
    if token.text in _SPACED and spaced(text, token):
        if token.text in ("&", "*") and tokens[i - 1].text in ("const", "auto"):
            return
        kind = next(name for table, name in _KINDS if token.text in table)
        yield _replaced(file, text, token, _SPACED[token.text], kind)
    elif token.text in _STEPS:
        yield _replaced(file, text, token, _STEPS[token.text], "arithmetic")
    elif token.text == "!":
        yield make(file, text, token.start, token.end, "", "boolean `!` removed")


def _number(file, text, token):
    found = _INTEGER.match(token.text)
    if not found:
        return
    digits, suffix = found[1].replace("'", ""), found[2]
    value = int(digits, 0) if digits.lower().startswith("0x") else int(digits)
    show = hex if digits.lower().startswith("0x") else str
    yield _replaced(file, text, token, show(value + 1) + suffix, "constant")
    if value > 0:
        yield _replaced(file, text, token, show(value - 1) + suffix, "constant")


def _is_enumeration_value(tokens, i):
    return i >= 2 and tokens[i - 1].text == "::" and tokens[i - 2].text in ENUMERATIONS


def _values_by_enumeration(tokens):
    values = {}
    for i, token in enumerate(tokens):
        if token.kind == "name" and _is_enumeration_value(tokens, i):
            if i + 1 < len(tokens) and tokens[i + 1].text != "(":
                values.setdefault(tokens[i - 2].text, set()).add(token.text)
    return {name: sorted(found) for name, found in values.items()}


def _enumeration_value(file, text, tokens, i, values):
    token, enumeration = tokens[i], tokens[i - 2].text
    first = i - 2
    while first >= 2 and tokens[first - 1].text == "::":
        first -= 2
    if tokens[first - 1].text == "case":
        return  # another label would stand twice
    others = [value for value in values.get(enumeration, ()) if value != token.text]
    if others:
        kind = "reason" if enumeration in ("DropReason", "R", "RefuseReason") else "value"
        if enumeration in ("P", "C"):
            kind = "transition"
        yield _replaced(file, text, token, _one_of(others, text, token), kind)


def _is_cell(tokens, i):
    return tokens[i + 1].text in (",", "}", ";") and tokens[i - 1].text in (",", "{")
