"""The tree of a model's modules, from the names of its tensors and the classes a file names."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from cairn.domain import Module, Role, TensorInfo
from cairn.formats.limits import MAX_MODULE_DEPTH, MAX_TREE_MODULES


@dataclass(slots=True)
class _Node:
    class_name: str = ""
    parameters: int = 0
    tensors: int = 0
    children: dict[str, "_Node"] = field(default_factory=dict)


class ModuleTree:
    """Grows a module for every dotted name; what exceeds the limits is counted further up."""

    def __init__(self) -> None:
        self._root = _Node()
        self._size = 1

    def add(
        self, tensors: Iterable[TensorInfo], classes: Mapping[str, str], below: str = ""
    ) -> None:
        """Hang a model's tensors and classes into the tree, all of them under `below`."""
        above = [below] if below else []
        for path, class_name in classes.items():
            node, is_whole = self._node([*above, *(path.split(".") if path else ())])
            if is_whole and not node.class_name:
                node.class_name = class_name
        for tensor in tensors:
            segments = tensor.name.replace("/", ".").split(".")[:-1]
            node, _ = self._node([*above, *segments])
            node.tensors += 1
            if tensor.role is Role.WEIGHTS:
                node.parameters += tensor.elements

    def _node(self, segments: list[str]) -> tuple[_Node, bool]:
        """The deepest module on a path within the limits, and whether that is its end."""
        node = self._root
        for segment in segments[:MAX_MODULE_DEPTH]:
            child = node.children.get(segment)
            if child is None:
                if self._size >= MAX_TREE_MODULES:
                    return node, False
                child = node.children[segment] = _Node()
                self._size += 1
            node = child
        return node, len(segments) <= MAX_MODULE_DEPTH

    def grown(self, name: str) -> Module | None:
        """The tree with its sums; None if nothing was added."""
        root = _module(name, self._root)
        return root if root.tensors or root.children else None


def _module(name: str, node: _Node) -> Module:
    """Recursion ends at `MAX_MODULE_DEPTH`."""
    children = [_module(key, child) for key, child in node.children.items()]
    if all(child.name.isdecimal() for child in children):
        # Files sorted by name have 10 before 2.
        children.sort(key=lambda child: (len(child.name), child.name))
    return Module(
        name=name,
        class_name=node.class_name,
        parameters=node.parameters + sum(child.parameters for child in children),
        tensors=node.tensors + sum(child.tensors for child in children),
        children=tuple(children),
    )
