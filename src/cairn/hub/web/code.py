"""Colours for short pieces of code, by regular expressions that cannot run long.

Not a parser: comments, strings, numbers and keywords of the languages model cards use.
Every alternative consumes at least one character and none backtracks beyond its own run,
so the time is linear in the text, whatever the text.
"""

import re

from markupsafe import Markup, escape

CLASSES = frozenset({"c-comment", "c-string", "c-number", "c-word", "c-key"})
MAX_COLOURED_CHARACTERS = 100_000

_STRING = r'"(?:[^"\\\n]|\\.)*+"|\'(?:[^\'\\\n]|\\.)*+\''
_NUMBER = r"(?<![\w.])-?\d[\w.+]*+"
_PYTHON_WORDS = (
    "False None True and as assert async await break class continue def del elif else except"
    " finally for from global if import in is lambda nonlocal not or pass raise return try while"
    " with yield"
)
_SHELL_WORDS = "if then else elif fi for in do done while case esac function return export sudo"


def _words(words: str) -> str:
    return rf"(?<![\w.])(?:{'|'.join(words.split())})(?!\w)"


def _language(comment: str, words: str, string: str = _STRING, key: str = "") -> re.Pattern[str]:
    rules = [("comment", comment), ("key", key), ("string", string)]
    rules += [("number", _NUMBER), ("word", words), ("skip", r"[^\W\d]\w*+")]
    return re.compile("|".join(f"(?P<{name}>{rule})" for name, rule in rules if rule))


_LONG_STRING = r'"""(?s:.)*?(?:"""|\Z)|' + r"'''(?s:.)*?(?:'''|\Z)|" + _STRING
_PYTHON = _language(r"\#[^\n]*+", _words(_PYTHON_WORDS), _LONG_STRING)
_SHELL = _language(r"(?<!\S)\#[^\n]*+", _words(_SHELL_WORDS))
_JSON = _language("", _words("true false null"), key=r'"(?:[^"\\\n]|\\.)*+"(?=\s{0,8}:)')
_YAML = _language(
    r"(?<!\S)\#[^\n]*+", _words("true false null"), key=r"(?m:^[ \-]*+[\w.\-]++(?=:))"
)
_LANGUAGES = {
    **dict.fromkeys(("python", "py", "python3"), _PYTHON),
    **dict.fromkeys(("bash", "sh", "shell", "console", "zsh"), _SHELL),
    **dict.fromkeys(("json", "jsonc", "json5"), _JSON),
    **dict.fromkeys(("yaml", "yml", "toml"), _YAML),
}
_SUFFIXES = {"py": "python", "sh": "bash", "json": "json", "yaml": "yaml", "yml": "yaml"}


def language_of(path: str) -> str:
    """The language a file name says, or an empty string."""
    return _SUFFIXES.get(path.rpartition(".")[2].lower(), "")


def coloured(text: str, language: str) -> Markup:
    """Escaped HTML of the code, with spans of the classes in `CLASSES`."""
    pattern = _LANGUAGES.get(language.lower())
    if pattern is None or len(text) > MAX_COLOURED_CHARACTERS:
        return escape(text)
    out, at = [], 0
    for match in pattern.finditer(text):
        kind = match.lastgroup
        if kind == "skip" or kind is None:
            continue
        out.append(escape(text[at : match.start()]))
        out.append(Markup('<span class="c-{}">{}</span>').format(kind, match.group()))
        at = match.end()
    out.append(escape(text[at:]))
    return Markup("").join(out)
