"""Python source as syntax: what importing it would get hold of and call, and its functions.

Nothing is imported or compiled. Names are followed through the file's own imports, and through
the ways around them whose words stand in the file: `getattr(os, "system")`,
`sys.modules["os"].system`, `__import__("os").system`. Where a word is computed it is a `?`.
"""

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from itertools import islice
from typing import NamedTuple

from cairn.errors import LimitError, MalformedError
from cairn.scanner.paths import leads_elsewhere

# Generated modules and tables are that long. What takes time is not bytes but what they say.
MAX_SOURCE_BYTES = 4 << 20

# Words and opening brackets: no node of the syntax that names or calls has none. The longest module
# of torch, 1.4 MB, has 139,000, models of transformers have 31,000; as many calls, which take four
# bytes each, take some two seconds.
MAX_SOURCE_WORDS = 150_000
_WORD = re.compile(r"\w+|[(\[{]")

COMPUTED = "?"
"""A part of a name that only the running program knows."""

# Parts of the longest name that is followed: more would take time that grows with its square.
_MOST_PARTS = 40

# Modules imported with a star, each of which may give any name.
_MOST_STARS = 20

_BODIES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
_IMPORTERS = ("builtins.__import__", "importlib.import_module")
_NAMESPACES = ("builtins.globals", "builtins.locals", "builtins.vars")
# Attributes that lead from any object to the interpreter.
_WAYS_IN = frozenset(("__subclasses__", "__globals__", "__builtins__", "__code__"))
# What scripts that train and convert save. Nothing runs files of these names.
_DATA_SUFFIXES = (
    *(".pkl", ".pickle", ".joblib", ".pt", ".pth", ".bin", ".ckpt", ".safetensors", ".gguf"),
    *(".onnx", ".h5", ".npy", ".npz", ".json", ".jsonl", ".csv", ".tsv", ".parquet", ".txt"),
    *(".md", ".log", ".png", ".jpg", ".jpeg"),
)
_PLAIN_ENCODINGS = ("utf-8", "utf-8-sig", "ascii", "iso-8859-1")


class Mention(NamedTuple):
    """A dotted name in the source: whether it is called, and whether importing gets there."""

    name: str
    called: bool
    at_import: bool
    line: int


def source_text(data: bytes) -> str:
    """The source as Python decodes it.

    Raises:
        MalformedError: it says that it is written in an encoding that hides what it does.
    """
    try:
        encoding, _ = tokenize.detect_encoding(io.BytesIO(data).readline)
    except SyntaxError:
        encoding = "utf-8"
    if encoding not in _PLAIN_ENCODINGS:
        raise MalformedError(f"Python source written in {encoding[:40]}, which hides what it does")
    return data.decode("utf-8", "replace")


class ParsedSource:
    """Python source as a tree of syntax."""

    def __init__(self, tree: ast.AST) -> None:
        self._tree = tree

    def mentions(self) -> Iterator[Mention]:
        """Each name of something imported or built in."""
        names = _Names(self._tree)
        waiting: list[tuple[ast.AST, bool, bool]] = [(self._tree, True, False)]
        while waiting:
            node, at_import, called = waiting.pop()
            yield from _mentions_of(node, names, called=called, at_import=at_import)
            callees = {id(one) for one in _called_by(node)}
            waiting += (
                (below, reached, id(below) in callees)
                for below, reached in _below(node, at_import=at_import)
            )

    def texts(self) -> Iterator[tuple[str, int]]:
        """Each constant text or bytes object, the latter as latin-1, with its line."""
        for node in ast.walk(self._tree):
            if isinstance(node, ast.Constant):
                if isinstance(node.value, bytes):
                    yield node.value.decode("latin-1"), node.lineno
                elif isinstance(node.value, str):
                    yield node.value, node.lineno


def parsed(text: str) -> ParsedSource:
    """Source as syntax.

    Raises:
        MalformedError: it is no Python.
        LimitError: it is too long or nests too deeply.
    """
    if len(text) > MAX_SOURCE_BYTES:
        raise LimitError(f"Python source of {len(text)} characters")
    words = sum(1 for _ in islice(_WORD.finditer(text), MAX_SOURCE_WORDS + 1))
    if words > MAX_SOURCE_WORDS:
        raise LimitError(f"Python source of more than {MAX_SOURCE_WORDS:,} words")
    try:
        return ParsedSource(ast.parse(text))
    except (SyntaxError, ValueError):
        raise MalformedError("it is no Python") from None
    except (RecursionError, MemoryError):
        raise LimitError("the source nests too deeply") from None


def _mentions_of(
    node: ast.AST, names: "_Names", *, called: bool, at_import: bool
) -> Iterator[Mention]:
    if isinstance(node, (ast.Name, ast.Attribute, ast.Subscript)):
        for name in names.of(node):
            yield Mention(name, called, at_import, node.lineno)
    elif isinstance(node, ast.Call):
        given = names.of(node) if called else ()
        for name in (*given, *(["builtins.open to write"] if _opens_to_write(node) else [])):
            yield Mention(name, called=True, at_import=at_import, line=node.lineno)
    if isinstance(node, ast.Attribute) and node.attr in _WAYS_IN:
        way_in = f"{COMPUTED}.{node.attr}"
        yield Mention(way_in, called=True, at_import=at_import, line=node.lineno)


def _called_by(node: ast.AST) -> list[ast.expr]:
    if isinstance(node, ast.Call):
        return [node.func]
    return list(getattr(node, "decorator_list", ()))


def _opens_to_write(node: ast.Call) -> bool:
    """Whether it writes anything but a data file beside or below where the script runs."""
    if not (isinstance(node.func, ast.Name) and node.func.id == "open"):
        return False
    match node.args[:1]:
        case [ast.Constant(value=str(path))] if _is_data(path):
            return False
    modes = [*node.args[1:2], *(one.value for one in node.keywords if one.arg == "mode")]
    return any(
        isinstance(mode, ast.Constant) and set(str(mode.value)) & set("wax+") for mode in modes
    )


def _is_data(path: str) -> bool:
    return not leads_elsewhere(path) and path.lower().endswith(_DATA_SUFFIXES)


def _below(node: ast.AST, *, at_import: bool) -> Iterator[tuple[ast.AST, bool]]:
    """The parts of a node, and whether importing the file reaches them."""
    late: set[int] = set()
    if isinstance(node, _BODIES):
        late = {id(part) for part in (node.body if isinstance(node.body, list) else [node.body])}
    elif isinstance(node, ast.If) and _is_main(node.test):
        at_import = False
    for part in ast.iter_child_nodes(node):
        yield part, at_import and id(part) not in late


def _is_main(test: ast.expr) -> bool:
    return isinstance(test, ast.Compare) and any(
        isinstance(side, ast.Name) and side.id == "__name__"
        for side in (test.left, *test.comparators)
    )


class _Names:
    """What each name in a file stands for, by its imports."""

    def __init__(self, tree: ast.AST) -> None:
        self._imported: dict[str, str] = {}
        self._starred: list[str] = []
        self._bound: set[str] = set()
        for node in ast.walk(tree):
            self._note(node)

    def _note(self, node: ast.AST) -> None:
        if isinstance(node, ast.Import):
            for one in node.names:
                top = one.name.partition(".")[0]
                self._imported[one.asname or top] = one.name if one.asname else top
        elif isinstance(node, ast.ImportFrom) and not node.level:
            for one in node.names:
                if one.name == "*":
                    self._star(str(node.module))
                else:
                    self._imported[one.asname or one.name] = f"{node.module}.{one.name}"
        elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            self._bound.add(node.name)
        elif isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
            self._bound.add(node.id)

    def _star(self, module: str) -> None:
        if module not in self._starred:
            self._starred.append(module)
        if len(self._starred) > _MOST_STARS:
            raise LimitError(f"more than {_MOST_STARS} modules imported whole")

    def of(self, node: ast.expr) -> Iterator[str]:
        """The full names an expression may stand for."""
        if isinstance(node, ast.Name) and node.id not in self._imported:
            if node.id in self._bound:
                return
            yield from (f"{module}.{node.id}" for module in self._starred)
        dotted = self._dotted(node)
        if dotted:
            yield dotted

    def _dotted(self, node: ast.expr) -> str:
        """One full name; empty for what is neither imported nor built in."""
        return "" if _is_longer_than(_MOST_PARTS, node) else self._followed(node)

    def _followed(self, node: ast.expr) -> str:
        match node:
            case ast.Name(id="__builtins__") | ast.Attribute(attr="__self__", value=ast.Name()):
                return "builtins"
            case ast.Name(id=name):
                return self._imported.get(name) or (
                    "" if name in self._bound else f"builtins.{name}"
                )
            case ast.Attribute(value=value, attr="__dict__"):
                return self._dotted(value)
            case ast.Attribute(value=value, attr=attr):
                owner = self._dotted(value)
                if owner.startswith("builtins.") or not owner:
                    return ""  # an attribute of an argument, or of what a function gave
                return f"{owner}.{attr}"
            case ast.Subscript(value=value, slice=key):
                return self._item(value, _word(key))
            case ast.Call(func=callee, args=args):
                return self._made(self._dotted(callee), args)
        return ""

    def _item(self, value: ast.expr, key: str) -> str:
        owner = self._dotted(value)
        if owner == "sys.modules":
            return key
        if owner in _NAMESPACES:
            return "builtins" if key == "__builtins__" else ""
        held = isinstance(value, ast.Attribute) and value.attr == "__dict__"
        looked_up = isinstance(value, ast.Call) and owner
        return f"{owner}.{key}" if owner == "builtins" or held or looked_up else ""

    def _made(self, callee: str, args: list[ast.expr]) -> str:
        """What a call gives, where that is a module or something of it."""
        if callee in _IMPORTERS and args:
            return _word(args[0])
        if callee == "builtins.getattr" and len(args) > 1:
            owner = self._dotted(args[0])
            return f"{owner}.{_word(args[1])}" if owner and "builtins." not in owner else ""
        if callee == "builtins.vars" and args:
            return self._dotted(args[0])
        return callee if callee in _NAMESPACES else ""


def _is_longer_than(parts: int, node: ast.expr) -> bool:
    for _ in range(parts):
        if isinstance(node, (ast.Attribute, ast.Subscript)):
            node = node.value
        elif isinstance(node, ast.Call):
            node = node.func
        else:
            return False
    return True


def _word(node: ast.expr) -> str:
    return (
        node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else COMPUTED
    )
