"""One registry for every open-ended choice: readers, codecs, rules, evaluators, exporters.

A plug-in is an object with a `name`. Built-ins are given at construction, one
line each in the room's `base.py`; third parties add theirs through entry points
named by the settings. A plug-in can never replace one that is already there.
"""

from collections.abc import Iterable, Iterator
from typing import Generic, Protocol, TypeVar

from cairn.errors import ConflictError, NotFoundError


class Plugin(Protocol):
    """Anything with a stable, unique name."""

    @property
    def name(self) -> str:
        """The name under which it is registered and recorded on disk."""
        ...


P = TypeVar("P", bound=Plugin)


class Registry(Generic[P]):
    """An ordered set of plug-ins of one kind, looked up by name."""

    def __init__(self, kind: str, builtins: Iterable[P] = ()) -> None:
        """`kind` ("reader", "codec", ...) names the entry-point group `cairn.<kind>s`."""
        self.kind = kind
        self._plugins: dict[str, P] = {}
        for plugin in builtins:
            self.add(plugin)

    def add(self, plugin: P) -> None:
        """Register a plug-in.

        Raises:
            ConflictError: the name is taken.
        """
        if plugin.name in self._plugins:
            raise ConflictError(f"{self.kind} {plugin.name!r} is already registered")
        self._plugins[plugin.name] = plugin

    def extended(self, names: Iterable[str]) -> "Registry[P]":
        """A copy that also holds the installed third-party plug-ins with these names.

        Raises:
            NotFoundError: a name has no installed entry point.
            ConflictError: a name is taken by a built-in.
        """
        wanted = list(names)
        copy = Registry(self.kind, self)
        if not wanted:
            return copy
        # Imported here: it takes longer than all readers together, and few ask for plug-ins.
        from importlib.metadata import entry_points

        installed = {e.name: e for e in entry_points(group=f"cairn.{self.kind}s")}
        for name in wanted:
            if name not in installed:
                known = ", ".join(sorted(installed)) or "none installed"
                raise NotFoundError(f"no {self.kind} plug-in named {name!r} ({known})")
            copy.add(installed[name].load()())
        return copy

    def get(self, name: str) -> P:
        """The plug-in with this name.

        Raises:
            NotFoundError: there is none.
        """
        try:
            return self._plugins[name]
        except KeyError:
            known = ", ".join(self._plugins) or "none"
            raise NotFoundError(f"no {self.kind} named {name!r}; known: {known}") from None

    def __iter__(self) -> Iterator[P]:
        return iter(self._plugins.values())

    def __len__(self) -> int:
        return len(self._plugins)

    def __contains__(self, name: object) -> bool:
        return name in self._plugins
