"""Templates that do more than put messages into words."""

from collections.abc import Iterator
from typing import ClassVar

from cairn.domain import Finding, Verdict
from cairn.scanner.evidence.base import Evidence
from cairn.scanner.evidence.templates import TemplateUse
from cairn.scanner.rule import Rule

_CALLS = frozenset(
    ("range", "namespace", "dict", "raise_exception", "strftime_now", "caller", "tojson")
)
_METHODS = frozenset(
    (
        *("append", "capitalize", "copy", "count", "endswith", "extend", "find", "get", "index"),
        *("insert", "isalnum", "isalpha", "isdigit", "isnumeric", "isspace", "islower", "isupper"),
        *("items", "join", "keys", "lower", "lstrip", "pop", "removeprefix", "removesuffix"),
        *("replace", "rfind", "rindex", "rsplit", "rstrip", "setdefault", "split", "splitlines"),
        *("startswith", "strftime", "strip", "title", "update", "upper", "values", "partition"),
        *("rpartition", "swapcase", "zfill", "ljust", "rjust", "center", "remove", "reverse"),
    )
)
_FILTERS = frozenset(
    (
        *("abs", "batch", "capitalize", "center", "count", "d", "default", "dictsort", "e"),
        *("escape", "filesizeformat", "first", "float", "forceescape", "from_json", "fromjson"),
        *("groupby", "indent", "int", "items", "join", "last", "length", "list", "lower", "map"),
        *("max", "min", "pprint", "random", "reject", "rejectattr", "replace", "reverse", "round"),
        *("safe", "select", "selectattr", "slice", "sort", "string", "striptags", "sum", "title"),
        *("tojson", "trim", "truncate", "unique", "upper", "urlencode", "wordcount", "wordwrap"),
    )
)
_TESTS = frozenset(
    (
        *("boolean", "callable", "defined", "divisibleby", "eq", "equalto", "==", "even", "false"),
        *("float", "ge", ">=", "gt", "greaterthan", ">", "in", "integer", "iterable", "le", "<="),
        *("lower", "lt", "lessthan", "<", "mapping", "ne", "!=", "none", "number", "odd"),
        *("sameas", "sequence", "string", "true", "undefined", "upper"),
    )
)
# Objects that web frameworks and Jinja itself put within reach, and that lead to everything else.
_GLOBALS = frozenset(
    (
        *("self", "cycler", "joiner", "lipsum", "request", "url_for", "get_flashed_messages"),
        *("application", "session", "g", "settings", "environ", "os", "sys", "builtins"),
        *("popen", "open", "eval", "exec", "import", "getattr", "globals", "locals", "vars"),
    )
)
# Attributes by which text leads to the interpreter; placeholders such as `__image__` do not.
_WAYS_IN = frozenset(
    f"__{name}__"
    for name in (
        *("class", "mro", "base", "bases", "subclasses", "globals", "builtins", "import", "init"),
        *("dict", "code", "closure", "getattribute", "getattr", "reduce", "reduce_ex", "module"),
        *("self", "func", "call", "loader", "spec", "getitem", "new", "wrapped", "get", "set"),
        *("init_subclass", "subclasshook", "enter", "exit", "kwdefaults", "defaults", "traceback"),
    )
)
_ALLOWED = {"call": _CALLS, "method": _METHODS, "filter": _FILTERS, "test": _TESTS}
_RUNNING = frozenset(
    ("popen", "system", "mro", "eval", "exec", "spawn", "getoutput", "load_module")
)


class Templates(Rule):
    """The template does more than put a conversation into words.

    A chat template is a program in Jinja that every chat with the model runs, in some loaders
    without a sandbox (CVE-2024-34359). Attributes that begin with two underscores lead from any
    value to the interpreter and from there to the shell: no template needs one. Filters, tests,
    functions and methods are on a list of those that templates of published models use; loops run
    over what there is, not a million times. Replace the template with that of the base model.
    """

    name: ClassVar[str] = "templates"
    version: ClassVar[int] = 2
    title: ClassVar[str] = "A template reaches for more than messages"
    about: ClassVar[tuple[type[Evidence], ...]] = (TemplateUse,)

    def judge(self, evidence: Evidence) -> Iterator[Finding]:
        """One finding for each use that is not on the list."""
        assert isinstance(evidence, TemplateUse)
        found = _verdict(evidence.use, evidence.name)
        if found is not None:
            verdict, what = found
            yield Finding(
                self.name,
                verdict,
                f"the template {what}",
                evidence.place,
                "Replace the template with that of the model it was made from",
            )


def _verdict(use: str, name: str) -> tuple[Verdict, str] | None:
    bad, odd = Verdict.MALICIOUS, Verdict.SUSPICIOUS
    match use:
        case "attribute":
            hidden = name.startswith("__") or not name.startswith("_")
            return (bad if hidden else odd), f"reaches for the attribute {name}"
        case "text":
            return (bad if name in _WAYS_IN else odd), f"holds the text {name!r}"
        case "name" if name in _GLOBALS or name.startswith("__"):
            return bad if name.startswith("__") else odd, f"uses the variable {name}"
        case "filter" if name == "attr":
            return bad, "gets attributes by names that are data (filter attr)"
        case "call" | "method" | "filter" | "test" if name not in _ALLOWED[use]:
            return (bad if name in _RUNNING else odd), f"uses the {_WORDS[use]} {name}"
        case "key":
            return odd, f"computes the name of what it reaches for ({name})"
        case "node":
            return odd, f"has syntax that no chat template needs: {name}"
        case "work":
            return odd, f"repeats something {name} times"
    return None


_WORDS = {"call": "function", "method": "method", "filter": "filter", "test": "test"}
