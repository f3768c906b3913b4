"""A checkpoint as one thing: its files' layouts, its architecture, what it counts up to."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum

from cairn.domain.architectures import Architecture, Module, Scalar
from cairn.domain.tensors import DType, Layout, Role, TensorInfo


class Part(Enum):
    """The four parts of a checkpoint."""

    ARCHITECTURE = "architecture"
    WEIGHTS = "weights"
    OPTIMIZER = "optimizer state"
    METADATA = "metadata"


@dataclass(frozen=True, slots=True)
class Completeness:
    """Which parts are there, by evidence, and whether training can go on from here.

    `missing` names what a resume needs and does not find; empty exactly when `resumable`.
    `inexact` names what is missing for a resume that repeats the run bit for bit. Where several
    models lie together, `models` has by label what a resume of that one lacks.
    """

    present: Mapping[Part, str]
    missing: tuple[str, ...] = ()
    inexact: tuple[str, ...] = ()
    models: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def resumable(self) -> bool:
        """Whether weights, optimizer state and position are all there."""
        return not self.missing


@dataclass(frozen=True, slots=True)
class Assembly:
    """Several files that are one: tensors put together from pieces that lie in the `parts`.

    `path` is the file or folder the assembly is named by; the pieces' paths are relative to
    its folder. The tensors replace those that the parts list by themselves.
    """

    format: str
    path: str
    parts: frozenset[str]
    tensors: tuple[TensorInfo, ...]
    metadata: Mapping[str, Scalar] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The files of one checkpoint that hold tensors, by relative path.

    `assemblies` are the tensors that only several files together hold. `unread` maps paths that
    look like checkpoint files and could not be read to the reason. `training` says how far
    training had come and how it was set up (epoch, global_step, datasets, ...), and
    `training_evidence` which file and key say so. `notes` tells what is odd about the files taken
    together; each file's own oddities are in its layout. `side_files` says what files without
    tensors are for. `belongs` maps `path` and the prefix of an optimizer's state
    (`state.0`, in Keras the whole name) to the name of the parameter it belongs to.
    """

    name: str
    layouts: Mapping[str, Layout]
    architecture: Architecture | None = None
    unread: Mapping[str, str] = field(default_factory=dict)
    other_files_bytes: int = 0
    training: Mapping[str, Scalar] = field(default_factory=dict)
    training_evidence: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    assemblies: tuple[Assembly, ...] = ()
    side_files: Mapping[str, Role] = field(default_factory=dict)
    belongs: Mapping[tuple[str, str], str] = field(default_factory=dict)
    modules: Module | None = None
    completeness: Completeness | None = None

    def tensors(self) -> Iterator[tuple[str, TensorInfo]]:
        """Every tensor once, with the path of the file or assembly that lists it."""
        replaced = frozenset[str]().union(*(a.parts for a in self.assemblies))
        for path, layout in self.layouts.items():
            if path not in replaced:
                for tensor in layout.tensors:
                    yield path, tensor
        for assembly in self.assemblies:
            for tensor in assembly.tensors:
                yield assembly.path, tensor

    def values(self) -> Iterator[tuple[str, Mapping[str, Scalar]]]:
        """What each file says beside tensors; an assembly speaks for its parts."""
        replaced = frozenset[str]().union(*(a.parts for a in self.assemblies))
        for path, layout in self.layouts.items():
            if path not in replaced:
                yield path, layout.metadata
        for assembly in self.assemblies:
            yield assembly.path, assembly.metadata

    def parameters_by_dtype(self, role: Role = Role.WEIGHTS) -> dict[DType, int]:
        """Element counts of the tensors with this role, by dtype."""
        counts: Counter[DType] = Counter()
        for _, tensor in self.tensors():
            if tensor.role is role:
                counts[tensor.dtype] += tensor.elements
        return dict(counts)

    @property
    def formats(self) -> tuple[str, ...]:
        """The formats of its files and assemblies, sorted."""
        found = {layout.format for layout in self.layouts.values()}
        return tuple(sorted(found | {assembly.format for assembly in self.assemblies}))

    @property
    def size_bytes(self) -> int:
        """Plain bytes of the files that hold tensors."""
        return sum(layout.size_bytes for layout in self.layouts.values())
