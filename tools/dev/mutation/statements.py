"""Statements that are left out, and conditions that are turned round."""
from .mutant import make
from .tokens import closing, judged, tokens_of

_BEFORE = {";", "{", "}", "else"}
_NO_STATEMENT = {
    "alignas", "auto", "case", "class", "const", "constexpr", "default", "do", "else", "enum", "explicit", "extern",
    "for", "friend", "if", "inline", "namespace", "private", "protected", "public", "return", "static", "struct",
    "switch", "template", "throw", "try", "typedef", "typename", "using", "virtual", "while", "unsigned",
}  # fmt: skip
_ASSIGNS = {"=", "+=", "-=", "|=", "&=", "^=", "*=", "/=", "<<=", ">>="}
_OPERATORS = {"<", "<=", ">", ">=", "==", "!=", "&&", "||", "!", ";"}


def statement_mutants(file, text):
    tokens = tokens_of(text)
    in_header = _in_parentheses(tokens)
    for i in judged(tokens):
        if i == 0 or i in in_header or not _starts_statement(tokens, i):
            continue
        token = tokens[i]
        if token.text == "if":
            yield from _condition(file, text, tokens, i)
        elif token.text in ("break", "continue") and tokens[i + 1].text == ";":
            yield make(file, text, token.start, token.end, "", f"`{token.text}` removed")
        elif end := _plain_statement(tokens, i):
            what = text[token.start : tokens[end].start]
            if "prefetch" in what:
                continue
            yield make(file, text, token.start, tokens[end].start, "", f"removed `{' '.join(what.split())[:60]}`")


def _in_parentheses(tokens):
    """The three parts of a for are no statements; the body of a lambda in an argument is."""
    inside, open_marks = set(), []
    for i, token in enumerate(tokens):
        if token.text in ("(", "{"):
            open_marks.append(token.text)
        elif token.text in (")", "}") and open_marks:
            open_marks.pop()
        if open_marks and open_marks[-1] == "(":
            inside.add(i)
    return inside


def _starts_statement(tokens, i):
    before = tokens[i - 1].text
    if before == "{" and i >= 2:
        # A block has a space before it; the braces of a value have none, or stand behind one of these.
        return tokens[i - 2].end < tokens[i - 1].start and tokens[i - 2].text not in ("return", "=", ",", "(", "{")
    if before in _BEFORE:
        return True
    if before == ")":  # the one statement of an if, for or while without braces
        depth = 0
        for j in range(i - 1, -1, -1):
            depth += {")": 1, "(": -1}.get(tokens[j].text, 0)
            if depth == 0:
                return tokens[j - 1].text in ("if", "for", "while")
    return before == ":" and _after_label(tokens, i - 1)


def _after_label(tokens, colon):
    for j in range(colon - 1, max(colon - 8, -1), -1):
        if tokens[j].text in ("case", "default"):
            return True
        if tokens[j].text in (";", "{", "}", "?"):
            return False
    return False


def _plain_statement(tokens, i):
    """Index of the `;` of a call or an assignment that starts at i; None if it is a declaration or anything else."""
    if tokens[i].kind != "name" and tokens[i].text not in ("++", "--", "*"):
        return None
    if tokens[i].text in _NO_STATEMENT:
        return None
    end, has_effect, previous = i, tokens[i].text in ("++", "--"), None
    while end < len(tokens) and tokens[end].text != ";":
        token = tokens[end]
        if token.text in ("{", "}") and not has_effect:
            return None
        if not has_effect and previous is not None and token.kind == "name":
            if previous.kind == "name" or previous.text in ("&", "*", ">", "&&"):
                return None  # a type stands before it
        if token.text in _ASSIGNS or (token.text == "(" and previous is not None and previous.kind == "name"):
            has_effect = True
        if token.text in ("(", "[", "{"):
            end = closing(tokens, end)
        previous = tokens[end]
        end += 1
    if not has_effect or end >= len(tokens) or previous.text == "}" and tokens[i].kind != "name":
        return None
    return end


def _condition(file, text, tokens, i):
    opening = i + 1
    if tokens[opening].text != "(":
        return
    end = closing(tokens, opening)
    inside = tokens[opening + 1 : end]
    if inside[0].text in ("auto", "const") or any(token.text == "=" for token in inside):
        # `if (auto fault = ...) return fault;`: the check is left out.
        if tokens[end + 1].text == "return" and tokens[end + 3].text == ";":
            start, stop = tokens[i].start, tokens[end + 3].start
            yield make(file, text, start, stop, "", f"removed `{' '.join(text[start:stop].split())[:60]}`")
        return
    if not any(token.text in _OPERATORS for token in inside):
        start, stop = inside[0].start, inside[-1].end
        yield make(file, text, start, stop, f"!({text[start:stop]})", "condition turned round")
