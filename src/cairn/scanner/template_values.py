"""How large the values of a template's expressions could become by what it says itself.

Texts, lists and numbers have bounds; what a chat puts in (messages, tools) counts as 1: a template
is judged by what it makes of one character. `'-' * 40` is 40, and `('a' * n) * n`, with `n` set to
99999, ten billion. Nothing is rendered.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from itertools import pairwise
from math import inf

from jinja2 import nodes

from cairn.errors import LimitError
from cairn.scanner.template_bounds import (
    LIST,
    NUMBER,
    ONE,
    TEXT,
    Bound,
    Space,
    Value,
    bound_of,
    divided,
    formatted,
    joined,
    of_constant,
    of_list,
    put_together,
    raised,
    times,
    transformed,
    wider,
)

# The rounds of a loop or the length of a text beyond which a template costs more than it says.
MOST = 100_000

_MOST_ACTIVATIONS = 3  # of one macro, which may call itself: schemas of tools are trees

Excess = tuple[str, float, int]
"""What becomes too large (`times` something is there, or `growth` round by round), and the line."""


class Expressions(ABC):
    """The variables of a template while it is followed, and what its expressions come to."""

    def __init__(self, most_steps: int) -> None:
        """`most_steps` are followed, a few microseconds each."""
        self.found: list[Excess] = []
        self.variables: dict[str, Value] = {}
        self.macros: dict[str, nodes.Macro] = {}
        self._active: list[tuple[str, tuple[float, ...]]] = []
        self._most_steps = most_steps
        self.steps = 0

    @abstractmethod
    def body(self, statements: Sequence[nodes.Node]) -> float:
        """Follow statements one after the other; how many characters they print."""

    def value(self, node: nodes.Node) -> Value:
        """The bound of an expression."""
        self.step()
        match node:
            case nodes.Const(value=constant) | nodes.TemplateData(data=constant):
                return of_constant(constant)
            case nodes.Name(name=name):
                return self.variables.get(name, ONE)
            case nodes.Call():
                return self._called(node)
            case nodes.Filter(node=nodes.Node() as inner):
                return self.filtered(node, self.value(inner))
            case nodes.List(items=items) | nodes.Tuple(items=items):
                return Space({"": of_list(bound_of(self.value(item)) for item in items)})
            case nodes.Dict(items=pairs):
                return Space({"": of_list(bound_of(self.value(pair.value)) for pair in pairs)})
            case nodes.Getattr() | nodes.Getitem():
                return self._got(node)
        return self.checked(self._computed(node), node.lineno)

    def _got(self, node: nodes.Getattr | nodes.Getitem) -> Bound:
        """An attribute, an element or a slice."""
        match node:
            case (
                nodes.Getattr(node=inner, attr=key)
                | nodes.Getitem(node=inner, arg=nodes.Const(value=str() as key))
            ):
                owner = self.value(inner)
                known = owner.get(key) if isinstance(owner, Space) else None
                return known or bound_of(owner).element()
            case nodes.Getitem(node=inner, arg=arg):
                self.value(arg)
                owner = bound_of(self.value(inner))
                return owner if isinstance(arg, nodes.Slice) else owner.element()

    def _computed(self, node: nodes.Node) -> Bound:
        """What an operator makes of its operands."""
        parts = [bound_of(self.value(one)) for one in node.iter_child_nodes()]
        match node:
            case nodes.Concat():
                return put_together(parts)
            case nodes.Add() | nodes.Sub():
                return joined(*parts)
            case nodes.Mul():
                return times(*parts)
            case nodes.Pow():
                return raised(*parts)
            case nodes.Div() | nodes.FloorDiv():
                return divided(*parts)
            case nodes.Mod():
                return formatted(*parts)
            case nodes.CondExpr():
                return wider(*parts[1:]) if len(parts) > 2 else parts[-1]
            case nodes.And() | nodes.Or():
                return wider(*parts)
            case nodes.Neg() | nodes.Pos():
                return parts[0]
        return Bound(1, 1, NUMBER)  # comparisons and tests

    def _called(self, node: nodes.Call) -> Value:
        given = [self.value(one) for one in node.args]
        named = {one.key: self.value(one.value) for one in node.kwargs}
        match node.node:
            case nodes.Name(name="range") if given:
                length = sum(bound_of(one).size for one in given[:2])
                return self.checked(Bound(length, length, LIST, NUMBER), node.lineno)
            case nodes.Name(name="namespace" | "dict"):
                return Space({key: bound_of(one) for key, one in named.items()})
            case nodes.Name(name="caller"):
                return self.variables.get("caller", ONE)
            case nodes.Name(name=name) if name in self.macros:
                return self._expanded(self.macros[name], given, named, node.lineno)
            case nodes.Getattr(node=inner, attr=method):
                return self._method(inner, method, [*given, *named.values()], node.lineno)
        return ONE

    def _expanded(
        self, macro: nodes.Macro, given: list[Value], named: dict[str, Value], line: int
    ) -> Bound:
        """What a macro prints for these arguments."""
        names = [one.name for one in macro.args]
        defaults = dict(zip(names[::-1], macro.defaults[::-1], strict=False))
        bound = {name: self.value(default) for name, default in defaults.items()}
        bound |= dict(zip(names, given, strict=False)) | named
        sizes = tuple(bound_of(bound.get(name, ONE)).size for name in names)
        active = [seen for name, seen in self._active if name == macro.name]
        if len(active) >= _MOST_ACTIVATIONS:
            if any(map(_multiplies, zip(*active, sizes, strict=True))):
                self.found.append(("growth", 0, line))
            return ONE
        before = self.variables
        self.variables = {**before, **dict.fromkeys(names, ONE), **bound}
        self._active.append((macro.name, sizes))
        length = self.body(macro.body)
        self._active.pop()
        self.variables = before
        return self.checked(Bound(max(1, length), 1, TEXT), line)

    def _method(self, inner: nodes.Node, method: str, given: list[Value], line: int) -> Value:
        owner = self.value(inner)
        bounds = [bound_of(one) for one in given]
        if method in ("append", "insert", "extend", "update") and bounds:
            added = bounds[-1] if method in ("extend", "update") else of_list(bounds[-1:])
            grown = self.checked(joined(bound_of(owner), added), line)
            if isinstance(owner, Space):
                owner[""] = grown
            elif isinstance(inner, nodes.Getattr):
                space = self.variables.get(_name(inner.node))
                if isinstance(space, Space):
                    space[inner.attr] = grown
            return ONE
        return self.checked(transformed(method, bound_of(owner), bounds), line)

    def filtered(self, node: nodes.Filter, value: Value) -> Bound:
        """What a filter makes of a value."""
        given = [self.value(one) for one in node.args]
        given += [self.value(one.value) for one in node.kwargs]
        found = transformed(node.name, bound_of(value), [bound_of(one) for one in given])
        return self.checked(found, node.lineno)

    # --- limits ----------------------------------------------------------------------------------

    def checked(self, bound: Bound, line: int) -> Bound:
        """The bound; what is too large is noted, and counted on from one."""
        if bound.size <= MOST or (bound.kind == NUMBER and bound.size < inf):
            return bound
        self.found.append(("times", bound.size, line))
        return bound.resized(1)

    def step(self) -> None:
        """Count a step.

        Raises:
            LimitError: there were too many.
        """
        self.steps += 1
        if self.steps > self._most_steps:
            raise LimitError(f"following templates takes more than {self._most_steps} steps")


def _multiplies(sizes: tuple[float, ...]) -> bool:
    """Whether each step is larger than the one before: not so where something is only added."""
    steps = [after - before for before, after in pairwise(sizes)]
    return steps[0] > 0 and all(after >= 1.5 * before for before, after in pairwise(steps))


def _name(node: nodes.Node) -> str:
    return node.name if isinstance(node, nodes.Name) else ""
