"""Jinja templates as syntax: what one would use if it were rendered, which it never is.

Chat templates travel in GGUF files, tokenizer settings and `chat_template.jinja`; llama-cpp-python
rendered them without a sandbox (CVE-2024-34359). Syntax: https://jinja.palletsprojects.com/.
"""

from collections.abc import Iterator, Mapping
from functools import cache
from math import inf, log10
from re import compile as pattern
from typing import NamedTuple

from jinja2 import Environment, TemplateError, nodes
from jinja2.ext import Extension
from jinja2.parser import Parser

from cairn.errors import LimitError, MalformedError
from cairn.scanner.template_sizes import follow
from cairn.scanner.template_values import MOST, Excess

# Ways from an object to the frames and code behind it that need no underscore.
_FRAMES = pattern(r"(?:gi|cr|ag|f|tb|co|func|im)_\w+|mro")
# The width of a number in a text that `%` formats.
_WIDTH = pattern(r"%(?:\([^)]*\))?[#0 +-]*(?:\d*\.)?(\d{5,18})")
_MOST_POWER = 300  # digits, beyond which a float is infinite

# Filters whose arguments name attributes, filters or tests of each element.
_PICKING = frozenset(
    (
        *("map", "select", "reject", "selectattr", "rejectattr", "groupby", "sort", "sum"),
        *("unique", "min", "max"),
    )
)

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


class ReadTemplate(NamedTuple):
    """What a template uses, each once, and its constant texts with their lines."""

    uses: tuple[Use, ...]
    texts: tuple[tuple[str, int], ...]
    tree: nodes.Template

    def excesses(self, most_steps: int) -> tuple[tuple[Use, ...], int]:
        """What becomes too large in it, and in how many steps that was seen.

        Raises:
            LimitError: it takes more than `most_steps`, or is nested too deeply.
        """
        try:
            followed = follow(self.tree, most_steps)
        except RecursionError:
            raise LimitError("a template is nested too deeply to follow") from None
        return tuple(map(_excess, followed.excesses)), followed.steps


class _Generation(Extension):
    """`{% generation %}`, by which transformers marks what the assistant says."""

    tags = {"generation"}  # noqa: RUF012 - as Jinja has it

    def parse(self, parser: Parser) -> list[nodes.Node]:
        next(parser.stream)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)


def read_template(text: str) -> ReadTemplate:
    """What a template uses and holds.

    Raises:
        MalformedError: it is no Jinja.
        LimitError: it is nested too deeply.
    """
    try:
        tree = _environment().parse(text)
        found: dict[tuple[str, str], int] = {}
        for use, name, line in _uses(tree):
            found.setdefault((use, name), line)
    except TemplateError as error:
        raise MalformedError(f"the template is no Jinja: {str(error.message)[:200]}") from None
    except RecursionError:
        raise LimitError("a template is nested too deeply") from None
    uses = tuple((use, name, line) for (use, name), line in found.items())
    constants = ((node.value, node.lineno) for node in tree.find_all(nodes.Const))
    texts = tuple(one for one in constants if isinstance(one[0], str))
    return ReadTemplate(uses, texts, tree)


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


def _excess(found: Excess) -> Use:
    what, size, line = found
    if what == "growth":
        return "node", "a text or list that grows by what it holds, round by round", line
    return "work", _shown_number(size), line


def _all(tree: nodes.Node) -> Iterator[nodes.Node]:
    """Every node, in the order of the text."""
    waiting: list[nodes.Node] = [tree]
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
        case nodes.Filter(name=name):
            yield "filter", name
            yield from _large_numbers(*node.args, *(one.value for one in node.kwargs))
            if name in _PICKING:
                yield from _picked(name, node, built)
        case nodes.Test(name=name):
            yield "test", name
        case nodes.Call(node=callee):
            yield from _call(callee, node)
        case nodes.For(recursive=True):
            yield "node", "recursive loop"
    yield from _work_of(node)
    spelled = _spelled(node)
    if "__" in spelled:
        yield "text", spelled
    if not isinstance(node, _STRUCTURE):
        yield "node", type(node).__name__


def _work_of(node: nodes.Node) -> Iterator[tuple[str, str]]:
    """What makes much of little, as far as its constants say."""
    match node:
        case nodes.Mul() | nodes.Pow():
            product = _product(node)
            if product > MOST:
                yield "work", _shown_number(product)
        case nodes.Const(value=str() as text):
            for width in map(int, _WIDTH.findall(text)):
                if width > MOST:
                    yield "work", _shown_number(width)
        case nodes.Mod(left=left, right=right) if _is_of_text(left):
            yield from _large_numbers(right)  # the width of "%*d"
        case nodes.Assign(target=target, node=value) if _doubles(target, value):
            yield "node", "a text or list made of itself twice"


def _doubles(target: nodes.Node, value: nodes.Node) -> bool:
    """Whether a variable becomes something that holds it twice: thirty times take a gigabyte."""
    name = _variable(target)
    waiting, found = [(value, 1)], 0
    while waiting:
        node, times = waiting.pop()
        match node:
            case nodes.Add(left=left, right=right):
                waiting += ((left, times), (right, times))
            case nodes.Mul(left=left, right=right):
                by = 2 if max(_product(left), _product(right)) >= 2 else times
                waiting += ((left, by), (right, by))
            case nodes.Concat(nodes=parts) | nodes.List(items=parts) | nodes.Tuple(items=parts):
                waiting += ((part, times) for part in parts)
            case nodes.Filter(node=nodes.Node() as filtered):
                waiting.append((filtered, times))
            case part:
                found += times * (name is not None and _variable(part) == name)
    return found > 1


def _variable(node: nodes.Node) -> tuple[str, str] | None:
    """A variable, or one in a namespace; None for anything else."""
    match node:
        case nodes.Name(name=name):
            return name, ""
        case (
            nodes.NSRef(name=name, attr=attr) | nodes.Getattr(node=nodes.Name(name=name), attr=attr)
        ):
            return name, attr
    return None


def _spelled(node: nodes.Node) -> str:
    """A text that a template holds, or names that it gives and can get back as text."""
    match node:
        case nodes.Const(value=str() as text):
            return text
        case nodes.Keyword(key=name) | nodes.NSRef(attr=name) | nodes.Macro(name=name):
            return name  # dict(__class__=1) | first
        case nodes.Name(name=name) if not name.startswith("__"):
            return name
    return ""


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


def _picked(name: str, node: nodes.Filter, built: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """What `map` and its like take of each element or do to it."""
    first = node.args[0] if node.args else None
    if isinstance(first, nodes.Const) and isinstance(first.value, str):
        if name == "map":
            yield "filter", first.value
        elif name in ("select", "reject"):
            yield "test", first.value
    for value in (*node.args, *(one.value for one in node.kwargs)):
        if _is_built(value, built):
            yield "key", _pieces(value, built)


def _call(callee: nodes.Node, node: nodes.Call) -> Iterator[tuple[str, str]]:
    match callee:
        case nodes.Name(name=name):
            yield "call", name
            if name == "range":
                yield from _large_numbers(*node.args)
        case nodes.Getattr(attr=attr):
            yield "method", attr
            yield from _large_numbers(*node.args)
        case _:
            yield "call", f"<{type(callee).__name__}>"


def _large_numbers(*values: nodes.Node) -> Iterator[tuple[str, str]]:
    for value in values:
        inside = value.find_all(nodes.Const)
        constants = [value] if isinstance(value, nodes.Const) else list(inside)
        for constant in constants:
            number = constant.value
            if isinstance(number, (int, float)) and abs(number) > MOST:
                yield "work", _shown_number(number)


def _shown_number(number: float) -> str:
    bits = 1024 if number == inf else int(number).bit_length()
    return str(number) if bits < 64 else f"more than 2**{bits - 1}"


def _product(node: nodes.Node) -> float:
    """What constants that are multiplied or raised to a power come to, text and variables aside."""
    match node:
        case nodes.Const(value=int() | float() as number):
            return max(1, abs(number))
        case nodes.Mul(left=left, right=right):
            return _product(left) * _product(right)
        case nodes.Pow(left=left, right=right):
            base, power = _product(left), _product(right)
            digits = power * log10(base) if base > 1 else 0
            return float(base) ** power if digits < _MOST_POWER else inf
    return 1


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
            return _is_of_text(left) or _is_of_text(right)
        case nodes.Mul(left=left, right=right):
            return _is_of_text(left) or _is_of_text(right)
        case nodes.Call(node=nodes.Getattr(attr="join" | "format" | "replace")):
            return True
        case nodes.Filter() | nodes.Call() | nodes.Getitem():
            return _is_of_text(node)
    return False


def _is_of_text(node: nodes.Node | None) -> bool:
    """Whether a value is a constant text, or made of one by filters, methods and slices."""
    match node:
        case nodes.Const(value=value):
            return isinstance(value, str)
        case nodes.Filter(node=inner) | nodes.Getitem(node=inner) | nodes.Getattr(node=inner):
            return _is_of_text(inner)
        case nodes.Call(node=nodes.Getattr(node=inner)):
            return _is_of_text(inner)
        case nodes.Mul(left=left, right=right) | nodes.Add(left=left, right=right):
            return _is_of_text(left) or _is_of_text(right)
    return False
