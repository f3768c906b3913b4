"""How large what a template prints and keeps could become by what it says itself.

An abstract interpretation of Jinja's statements: a loop is followed for a few rounds, every branch
once, macros where they are called. `template_values` has the expressions.
"""

from collections.abc import Sequence
from typing import NamedTuple

from jinja2 import nodes

from cairn.scanner.template_bounds import (
    LIST,
    TEXT,
    Bound,
    Space,
    Value,
    bound_of,
    printed,
    wider,
)
from cairn.scanner.template_values import MOST, Excess, Expressions

# Rounds of a loop that are followed, and how much more than before there may be after the last:
# what grows by what is added to it (or to what is added) is below that. Fewer of loops in loops.
_OUTER_ROUNDS, _MOST_OUTER_GROWTH = 12, 1.29
_INNER_ROUNDS, _MOST_INNER_GROWTH = 5, 1.5
# What a template may print of its own accord, loops over messages counted once.
_MOST_OUTPUT = 10 * MOST


class Followed(NamedTuple):
    """What becomes larger than any template needs, each once, and how many steps it took."""

    excesses: tuple[Excess, ...]
    steps: int


def follow(tree: nodes.Template, most_steps: int) -> Followed:
    """Follow a template.

    Raises:
        LimitError: it takes more than `most_steps`.
    """
    sizes = _Sizes(most_steps)
    total = sizes.body(tree.body)
    if total > _MOST_OUTPUT and not sizes.found:
        sizes.found.append(("times", total, 1))
    return Followed(tuple(dict.fromkeys(sizes.found)), sizes.steps)


class _Sizes(Expressions):
    """The statements, followed one after the other."""

    def __init__(self, most_steps: int) -> None:
        super().__init__(most_steps)
        self._rounds = 1.0
        self._loops = 0

    def body(self, statements: Sequence[nodes.Node]) -> float:
        """Follow statements one after the other."""
        return sum(self._statement(one) for one in statements)

    def _scoped(self, statements: Sequence[nodes.Node]) -> float:
        """Follow statements whose variables end with them; those in namespaces stay."""
        before = dict(self.variables)
        length = self.body(statements)
        self.variables = before
        return length

    def _statement(self, node: nodes.Node) -> float:
        self.step()
        match node:
            case nodes.Output(nodes=parts):
                return sum(self._printed(part) for part in parts)
            case nodes.For():
                return self._loop(node)
            case nodes.If(test=test, body=body, elif_=others, else_=otherwise):
                self.value(test)
                return self._branched([body, *([one] for one in others), otherwise])
            case nodes.Assign(target=target, node=value):
                self._assign(target, self.value(value))
            case nodes.AssignBlock(target=target, body=body):
                self._assign(target, Bound(max(1, self._scoped(body)), 1, TEXT))
            case nodes.Macro(name=name):
                self.macros[name] = node
                self.variables.pop(name, None)
            case nodes.CallBlock(call=call, body=body):
                before = dict(self.variables)
                self.variables["caller"] = Bound(max(1, self._scoped(body)), 1, TEXT)
                length = self._printed(call)
                self.variables = before
                return length
            case nodes.FilterBlock(body=body, filter=found):
                return self.filtered(found, Bound(max(1, self._scoped(body)), 1, TEXT)).size
            case nodes.With(targets=targets, values=values, body=body):
                before = dict(self.variables)
                for target, value in zip(targets, values, strict=True):
                    self._assign(target, self.value(value))
                length = self.body(body)
                self.variables = before
                return length
            case nodes.ExprStmt(node=value):
                self.value(value)
            case _:
                return self.body([one for one in node.iter_child_nodes() if _is_statement(one)])
        return 0

    def _printed(self, node: nodes.Node) -> float:
        if isinstance(node, nodes.TemplateData):
            return len(node.data)
        return printed(bound_of(self.value(node)))

    def _branched(self, branches: list[Sequence[nodes.Node]]) -> float:
        """One of these is followed, nobody knows which."""
        before, ends, longest = self.variables, [], 0.0
        for branch in branches:
            self.variables = dict(before)
            longest = max(longest, self.body(branch))
            ends.append(self.variables)
        self.variables = ends[0]
        others = (end for end in ends[1:] if end != self.variables)
        for name, value in ((name, value) for end in others for name, value in end.items()):
            known = self.variables.get(name, value)
            if known is not value:
                self.variables[name] = wider(bound_of(known), bound_of(value))
        return longest

    def _loop(self, node: nodes.For) -> float:
        """The body for as many rounds as show how things grow, the rest by that growth."""
        over = bound_of(self.value(node.iter))
        outside, before = self._rounds, dict(self.variables)
        self._rounds *= over.size
        if self._rounds > MOST and over.size > 1:
            self.found.append(("times", self._rounds, node.lineno))
        most = _INNER_ROUNDS if self._loops else _OUTER_ROUNDS
        few = over.kind == LIST and over.size < most
        self._loops += not few
        length = 0.0
        for _ in range(int(over.size) if few else most):
            last = self._held(before)
            self.variables = dict(before)
            self._assign(node.target, over.element())
            if node.test is not None:
                self.value(node.test)
            length = self.body(node.body)
            if self._held(before) == last:
                break
        else:
            if not few:
                self._grow(last, over.size - most, node.lineno)
        self._loops -= not few
        self.variables, self._rounds = before, outside
        return max(length * over.size, self._scoped(node.else_))

    def _held(self, variables: dict[str, Value]) -> list[tuple[Space, str, Bound]]:
        """What is in namespaces and lists that these variables are."""
        spaces = {id(one): one for one in variables.values() if isinstance(one, Space)}
        self.steps += len(spaces)
        return [(space, key, bound) for space in spaces.values() for key, bound in space.items()]

    def _grow(self, before: list[tuple[Space, str, Bound]], rounds: float, line: int) -> None:
        """Let what grew in the last round of a loop grow on, or say that it multiplies."""
        growth = _MOST_OUTER_GROWTH if self._loops == 1 else _MOST_INNER_GROWTH
        for space, key, old in before:
            new = space[key]
            if new.size > max(_INNER_ROUNDS, growth * old.size):
                self.found.append(("growth", 0, line))
                space[key] = new.resized(1)
            elif rounds > 0 and new.size > old.size:
                size = new.size + rounds * (new.size - old.size)
                space[key] = self.checked(new.resized(size), line)

    def _assign(self, target: nodes.Node, value: Value) -> None:
        match target:
            case nodes.Name(name=name):
                self.macros.pop(name, None)
                self.variables[name] = value
            case nodes.NSRef(name=name, attr=attr):
                space = self.variables.get(name)
                if isinstance(space, Space):  # a branch or a round may not come to this
                    space[attr] = wider(space.get(attr, bound_of(value)), bound_of(value))
            case nodes.Tuple(items=items):
                for item in items:
                    self._assign(item, bound_of(value).element())


def _is_statement(node: nodes.Node) -> bool:
    return isinstance(node, nodes.Stmt)
