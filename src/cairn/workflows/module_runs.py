"""Sibling modules that are alike but for their number, as one: `0-11`, twelve times."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby

from cairn.domain import Module


@dataclass(frozen=True, slots=True)
class ModuleRun:
    """One module, or `count` numbered ones that look like `first`."""

    name: str
    first: Module
    count: int = 1

    @property
    def parameters(self) -> int:
        """Parameters of all of them together."""
        return self.first.parameters * self.count


def runs(children: Iterable[Module]) -> Iterator[ModuleRun]:
    """The children in order, neighbours that look alike taken together."""
    for _, group in groupby(children, key=_look):
        alike = list(group)
        name = alike[0].name if len(alike) == 1 else f"{alike[0].name}-{alike[-1].name}"
        yield ModuleRun(name, alike[0], len(alike))


def _look(module: Module) -> object:
    """What two numbered siblings must share to be one; others stand by themselves."""
    if not module.name.isdecimal():
        return module.name
    return tuple(
        (depth, m.name if depth else "", m.class_name, m.parameters, m.tensors)
        for depth, m in module.walk()
    )
