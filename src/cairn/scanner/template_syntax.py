"""Jinja templates as syntax: what one would use if it were rendered, which it never is.

Chat templates travel in GGUF files, tokenizer settings and `chat_template.jinja`; llama-cpp-python
rendered them without a sandbox (CVE-2024-34359). Syntax: https://jinja.palletsprojects.com/.
"""

from collections.abc import Iterator, Mapping
from functools import cache
from re import compile as pattern

from jinja2 import Environment, TemplateError, nodes
from jinja2.ext import Extension
from jinja2.parser import Parser

from cairn.errors import LimitError, MalformedError

MAX_TEMPLATE_CHARS = 512 << 10
"""Of one template; the longest published ones have 30,000."""

# Ways from an object to the frames and code behind it that need no underscore.
_FRAMES = pattern(r"(?:gi|cr|ag|f|tb|co|func|im)_\w+|mro")
# The rounds of a loop or the length of a text beyond which a template costs more than it says.
_MOST_ROUNDS = 100_000
_MOST_NUMBER_DIGITS = 6

_STRUCTURE = (
    *(nodes.Template, nodes.Output, nodes.TemplateData, nodes.For, nodes.If, nodes.Macro),
    *(nodes.CallBlock, nodes.FilterBlock, nodes.Assign, nodes.AssignBlock, nodes.NSRef),
    *(nodes.Continue, nodes.Break, nodes.Name, nodes.Const, nodes.Tuple, nodes.List, nodes.Dict),
    *(nodes.Pair, nodes.Keyword, nodes.CondExpr, nodes.Filter, nodes.Test, nodes.Call),
    *(nodes.Getitem, nodes.Getattr, nodes.Slice, nodes.Concat, nodes.Compare, nodes.Operand),
    *(nodes.Add, nodes.Sub, nodes.Mul, nodes.Div, nodes.FloorDiv, nodes.Mod, nodes.Neg),
    *(nodes.Pos, nodes.And, nodes.Or, nodes.Not, nodes.With, nodes.Scope, nodes.ExprStmt),
)

Use = tuple[str, str, int]
"""A use and a name as `TemplateUse` has them, and the line it is in."""


class _Generation(Extension):
    """`{% generation %}`, by which transformers marks what the assistant says."""

    tags = {"generation"}  # noqa: RUF012 - as Jinja has it

    def parse(self, parser: Parser) -> list[nodes.Node]:
        next(parser.stream)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)


def looks_like_template(text: str) -> bool:
    """Whether Jinja would find anything to do in a text."""
    return "{{" in text or "{%" in text


def template_uses(text: str) -> tuple[Use, ...]:
    """What a template uses, each once.

    Raises:
        MalformedError: it is no Jinja.
        LimitError: it is too long, or nested too deeply to follow.
    """
    if len(text) > MAX_TEMPLATE_CHARS:
        raise LimitError(f"a template of {len(text)} characters")
    try:
        tree = _environment().parse(text)
        found: dict[tuple[str, str], int] = {}
        for use, name, line in _uses(tree):
            found.setdefault((use, name), line)
    except TemplateError as error:
        raise MalformedError(f"the template is no Jinja: {str(error.message)[:200]}") from None
    except RecursionError:
        raise LimitError("a template is nested too deeply") from None
    return tuple((use, name, line) for (use, name), line in found.items())


@cache
def _environment() -> Environment:
    """Takes long to make, and parsing leaves nothing in it."""
    return Environment(  # noqa: S701 - nothing is rendered
        extensions=["jinja2.ext.loopcontrols", "jinja2.ext.do", _Generation]
    )


def _uses(tree: nodes.Template) -> Iterator[Use]:
    built = _names_built_of_text(tree)
    stored = {name.name for name in tree.find_all(nodes.Name) if name.ctx != "load"}
    stored |= {macro.name for macro in tree.find_all(nodes.Macro)}
    for node in _all(tree):
        for use, name in _uses_of(node, built):
            if use not in ("name", "call") or name not in stored:
                yield use, name[:200], node.lineno


def _all(tree: nodes.Node) -> Iterator[nodes.Node]:
    waiting = [tree]
    while waiting:
        node = waiting.pop()
        yield node
        waiting += reversed(list(node.iter_child_nodes()))


def _uses_of(node: nodes.Node, built: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    match node:
        case nodes.Getattr() | nodes.Getitem():
            yield from _reach(node, built)
        case nodes.Name(name=name, ctx="load"):
            yield "name", name
        case nodes.Const(value=str() as text) if "__" in text:
            yield "text", text
        case nodes.Filter(name=name):
            yield "filter", name
        case nodes.Test(name=name):
            yield "test", name
        case nodes.Call(node=callee):
            yield from _call(callee, node)
        case nodes.For(recursive=True):
            yield "node", "recursive loop"
        case nodes.Mul(left=left, right=right) | nodes.Pow(left=left, right=right):
            yield from _large_numbers(left, right)
    if not isinstance(node, _STRUCTURE):
        yield "node", type(node).__name__


def _reach(
    node: nodes.Getattr | nodes.Getitem, built: Mapping[str, str]
) -> Iterator[tuple[str, str]]:
    """What is got from a value, by a name in the template or by one it computes."""
    match node:
        case nodes.Getattr(attr=key) | nodes.Getitem(arg=nodes.Const(value=str() as key)):
            if key.startswith("_") or _FRAMES.fullmatch(key):
                yield "attribute", key
        case nodes.Getitem(arg=arg) if _is_built(arg, built):
            spelled = _pieces(arg, built)
            yield ("attribute", spelled) if spelled.startswith("__") else ("key", spelled)


def _call(callee: nodes.Node, node: nodes.Call) -> Iterator[tuple[str, str]]:
    match callee:
        case nodes.Name(name=name):
            yield "call", name
            if name == "range":
                yield from _large_numbers(*node.args)
        case nodes.Getattr(attr=attr):
            yield "method", attr
        case _:
            yield "call", f"<{type(callee).__name__}>"


def _large_numbers(*values: nodes.Node) -> Iterator[tuple[str, str]]:
    for value in values:
        for constant in (value, *value.find_all(nodes.Const)):
            if not isinstance(constant, nodes.Const):
                continue
            number = constant.value
            if isinstance(number, (int, float)) and abs(number) > _MOST_ROUNDS:
                digits = len(f"{number:.0f}") if isinstance(number, float) else number.bit_length()
                yield "work", str(number) if digits < 64 else f"more than 2**{digits - 1}"


def _names_built_of_text(tree: nodes.Template) -> Mapping[str, str]:
    """Variables set to a text put together from pieces, which may spell what a filter looks for."""
    return {
        node.target.name: _pieces(node.node, {})
        for node in tree.find_all(nodes.Assign)
        if isinstance(node.target, nodes.Name) and _is_built(node.node, {})
    }


def _pieces(node: nodes.Node, built: Mapping[str, str]) -> str:
    """The constants that a text is put together from, in order."""
    if isinstance(node, nodes.Name):
        return built.get(node.name, "")
    return "".join(
        piece.value for piece in node.find_all(nodes.Const) if isinstance(piece.value, str)
    )


def _is_built(node: nodes.Node, built: Mapping[str, str]) -> bool:
    match node:
        case nodes.Name(name=name):
            return name in built
        case nodes.Concat():
            return True
        case nodes.Filter(name="join" | "format" | "replace" | "reverse"):
            return True
        case nodes.Add(left=left, right=right) | nodes.Mod(left=left, right=right):
            return _is_text(left) or _is_text(right)
        case nodes.Mul(left=left, right=right):
            return _is_text(left) or _is_text(right)
        case nodes.Call(node=nodes.Getattr(attr="join" | "format" | "replace")):
            return True
    return False


def _is_text(node: nodes.Node) -> bool:
    return isinstance(node, nodes.Const) and isinstance(node.value, str)
