"""Python source as syntax: which calls importing it would make, and which its functions would.

Nothing is imported or compiled. Names are followed through the file's own imports only.
"""

import ast
from collections.abc import Iterator

from cairn.errors import LimitError, MalformedError

# The longest models of transformers have 250 KB; 512 KiB of calls take five seconds.
MAX_SOURCE_BYTES = 512 << 10

_BODIES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)


def calls_in(text: str) -> Iterator[tuple[str, bool, int]]:
    """Each call of what is imported or built in: dotted name, whether at import, line.

    Raises:
        MalformedError: it is no Python.
        LimitError: it is too long or nests too deeply.
    """
    if len(text) > MAX_SOURCE_BYTES:
        raise LimitError(f"Python source of {len(text)} characters")
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError):
        raise MalformedError("it is no Python") from None
    except (RecursionError, MemoryError):
        raise LimitError("the source nests too deeply") from None
    names = _imports(tree)
    waiting: list[tuple[ast.AST, bool]] = [(tree, True)]
    while waiting:
        node, at_import = waiting.pop()
        if isinstance(node, ast.Call):
            dotted = _dotted(node.func, names)
            if dotted:
                yield dotted, at_import, node.lineno
        waiting += _below(node, at_import=at_import)


def _below(node: ast.AST, *, at_import: bool) -> list[tuple[ast.AST, bool]]:
    """The parts of a node, and whether importing the file reaches them."""
    if isinstance(node, _BODIES):
        body = node.body if isinstance(node.body, list) else [node.body]
        late = {id(part) for part in body}
        return [(part, at_import and id(part) not in late) for part in ast.iter_child_nodes(node)]
    if isinstance(node, ast.If) and _is_main(node.test):
        return [(part, False) for part in ast.iter_child_nodes(node)]
    return [(part, at_import) for part in ast.iter_child_nodes(node)]


def _is_main(test: ast.expr) -> bool:
    return isinstance(test, ast.Compare) and any(
        isinstance(side, ast.Name) and side.id == "__name__"
        for side in (test.left, *test.comparators)
    )


def _imports(tree: ast.AST) -> dict[str, str]:
    """What each imported name stands for."""
    names: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for one in node.names:
                names[one.asname or one.name.partition(".")[0]] = (
                    one.name if one.asname else one.name.partition(".")[0]
                )
        elif isinstance(node, ast.ImportFrom) and not node.level:
            for one in node.names:
                names[one.asname or one.name] = f"{node.module}.{one.name}"
    return names


def _dotted(callee: ast.expr, names: dict[str, str]) -> str:
    """The full name of what is called; empty if it is neither imported nor built in."""
    parts: list[str] = []
    while isinstance(callee, ast.Attribute):
        parts.append(callee.attr)
        callee = callee.value
    if isinstance(callee, ast.Call) and _dotted(callee.func, names) == "builtins.__import__":
        first = callee.args[0] if callee.args else None
        module = first.value if isinstance(first, ast.Constant) else "?"
        return ".".join((str(module), *reversed(parts)))
    if not isinstance(callee, ast.Name):
        return ""
    start = names.get(callee.id) or (f"builtins.{callee.id}" if not parts else "")
    return ".".join((start, *reversed(parts))) if start else ""
