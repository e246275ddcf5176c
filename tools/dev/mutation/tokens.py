"""C++ text as tokens, enough to break it in places that mean something: no preprocessor lines, no comments.

The tree is formatted by clang-format, so white space can be trusted: a binary operator has a space on both sides, the
brackets of a template and the & of a reference do not.
"""
import re
from dataclasses import dataclass

_TOKEN = re.compile(
    r"""
    (?P<comment>//[^\n]*|/\*.*?\*/)
  | (?P<string>R"(?P<tag>[^(\s]*)\(.*?\)(?P=tag)"|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])+')
  | (?P<directive>^[ \t]*\#(?:\\\n|[^\n])*)
  | (?P<number>(?:0[xX][0-9a-fA-F']+|0[bB][01']+|\d[\d']*(?:\.\d+)?(?:[eE][+-]?\d+)?)[a-zA-Z]*)
  | (?P<name>[A-Za-z_]\w*)
  | (?P<mark><<=|>>=|<=>|->\*|\.\.\.|\[\[|\]\]|::|->|\+\+|--|<<|>>|<=|>=|==|!=|&&|\|\||[-+*/%&|^]=|[-+*/%&|^~!<>=?:;,.(){}\[\]])
    """,
    re.VERBOSE | re.MULTILINE | re.DOTALL,
)
_CLOSES = {"(": ")", "[": "]", "{": "}", "[[": "]]"}


@dataclass(frozen=True)
class Token:
    kind: str  # string number name mark
    text: str
    start: int
    end: int


def tokens_of(text):
    found = []
    for match in _TOKEN.finditer(text):
        if match.lastgroup == "tag" or match["string"] is not None:
            kind = "string"
        else:
            kind = match.lastgroup
        if kind not in ("comment", "directive"):
            found.append(Token(kind, match[0], match.start(), match.end()))
    return found


def closing(tokens, at):
    """Index of the token that closes the bracket at `at`; the last one if the text is broken."""
    depth = 0
    opens, closes = tokens[at].text, _CLOSES[tokens[at].text]
    for i in range(at, len(tokens)):
        if tokens[i].text == opens:
            depth += 1
        elif tokens[i].text == closes:
            depth -= 1
            if depth == 0:
                return i
    return len(tokens) - 1


def spaced(text, token):
    """Stands between spaces: a binary operator, whatever else its letters may mean."""
    before, after = text[token.start - 1 : token.start], text[token.end : token.end + 1]
    return before in (" ", "\n") and after in (" ", "\n")


# What tests cannot see, or what the compiler alone judges.
_SKIPPED_CALLS = {"static_assert", "SLUICE_ASSERT", "assert", "alignas", "defined", "__attribute__", "decltype", "sizeof"}


def judged(tokens):
    """Indexes of tokens that mean something at run time."""
    skipped = set()
    for i, token in enumerate(tokens):
        following = tokens[i + 1].text if i + 1 < len(tokens) else ""
        if token.text == "[[":
            skipped.update(range(i, closing(tokens, i) + 1))
        elif following == "(" and (token.text in _SKIPPED_CALLS or "prefetch" in token.text):
            skipped.update(range(i, closing(tokens, i + 1) + 1))
        elif token.text == "enum":
            skipped.update(range(i, _definition_end(tokens, i) + 1))
        elif token.text == "template" and following == "<":
            skipped.update(range(i, _template_end(tokens, i + 1) + 1))
    return [i for i in range(len(tokens)) if i not in skipped]


def _definition_end(tokens, at):
    """The enumerators, or the `;` of a declaration without them."""
    for i in range(at, len(tokens)):
        if tokens[i].text == "{":
            return closing(tokens, i)
        if tokens[i].text == ";":
            return i
    return len(tokens) - 1


def _template_end(tokens, at):
    depth = 0
    for i in range(at, len(tokens)):
        depth += {"<": 1, ">": -1, ">>": -2}.get(tokens[i].text, 0)
        if depth <= 0:
            return i
    return len(tokens) - 1
