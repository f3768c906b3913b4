"""TorchScript objects in a pickle made to look like pickled modules, which the walk knows.

An object is `__torch__.<module>.<class>` with its attributes as state, tensors and submodules
among them. Which tensors are buffers stands in the source of its class, which is looked at as
text. Source: `torch/csrc/jit/serialization/pickler.cpp` and `python_print.cpp` of torch 2.13.
"""

import re
from collections.abc import Iterable

from cairn.formats.limits import MAX_SCRIPT_BYTES
from cairn.formats.pickle_program import Call, Global, Mapping, Value
from cairn.formats.pickle_values import call_target
from cairn.formats.zip_archive import ZipArchive

_ROOT = "__torch__"
_MANGLED = "___torch_mangle_"
_CUSTOM = f"{_ROOT}.torch.classes."  # written in C++; their state is a tuple
_BUFFERS = re.compile(r"  __buffers__ = \[(.*)\]")
_NAME = re.compile(r'"([^"]{1,200})"')


class ScriptSources:
    """The source files of an archive, read as text, each once and not too many."""

    def __init__(self, archive: ZipArchive, top: str) -> None:
        self._archive = archive
        self._folder = f"{top}/code/"
        self._bytes_left = MAX_SCRIPT_BYTES
        self._buffers: dict[str, dict[str, frozenset[str]]] = {}

    @property
    def count(self) -> int:
        """Number of source files."""
        return sum(
            name.startswith(self._folder) and name.endswith(".py") for name in self._archive.members
        )

    def buffers_of(self, made: Global) -> frozenset[str]:
        """The attributes that the class declares to be buffers."""
        path = f"{self._folder}{made.module.replace('.', '/')}.py"
        if path not in self._buffers:
            self._buffers[path] = self._declared(path)
        return self._buffers[path].get(made.name, frozenset())

    def _declared(self, path: str) -> dict[str, frozenset[str]]:
        member = self._archive.members.get(path)
        if member is None or member.size_bytes > self._bytes_left:
            return {}
        self._bytes_left -= member.size_bytes
        text, _ = self._archive.read(member, MAX_SCRIPT_BYTES)
        found: dict[str, frozenset[str]] = {}
        name = ""
        for line in text.decode("utf-8", "replace").splitlines():
            if line.startswith("class "):
                name = line.removeprefix("class ").partition("(")[0]
            elif (match := _BUFFERS.match(line)) is not None:
                found[name] = frozenset(_NAME.findall(match[1]))
        return found


def regroup(calls: Iterable[Call], sources: ScriptSources) -> None:
    """Change TorchScript objects in place: Python's class names, tensors and submodules grouped."""
    scripted = {id(call): call for call in calls if _is_object(call)}
    grouped: dict[int, Mapping] = {}
    for call in scripted.values():
        assert isinstance(call.callee, Global) and call.states
        state = call.states[0]
        assert isinstance(state, Mapping)
        if id(state) not in grouped:
            grouped[id(state)] = _grouped(state, sources.buffers_of(call.callee), scripted)
        call.states = [grouped[id(state)]]
    for call in scripted.values():
        assert isinstance(call.callee, Global)
        call.callee = _python_class(call.callee)


def _is_object(call: Call) -> bool:
    match call:
        case Call(callee=Global(module=home), states=[Mapping()]):
            return home == _ROOT or home.startswith(f"{_ROOT}.")
    return False


def _grouped(state: Mapping, buffers: frozenset[str], scripted: dict[int, Call]) -> Mapping:
    groups: dict[str, list[Value]] = {"_parameters": [], "_buffers": [], "_modules": []}
    rest: list[Value] = []
    for key, value in zip(state.items[::2], state.items[1::2], strict=False):
        if id(value) in scripted:
            group = groups["_modules"]
        elif isinstance(value, Call) and call_target(value).startswith(("torch._utils.", _CUSTOM)):
            is_buffer = isinstance(key, str) and key in buffers
            group = groups["_buffers" if is_buffer else "_parameters"]
        else:
            group = rest
        group += (key, value)
    packed = [part for name, items in groups.items() for part in (name, Mapping(items))]
    return Mapping([*packed, *rest])


def _python_class(made: Global) -> Global:
    """Without `__torch__` and the numbers that tell two compilations of one class apart."""
    parts = [part for part in made.module.split(".")[1:] if not part.startswith(_MANGLED)]
    return Global(".".join(parts) or "__main__", made.name, made.offset, made.exact)
