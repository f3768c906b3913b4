"""A checkpoint as one thing: its files' layouts, its architecture, what it counts up to."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from cairn.domain.tensors import DType, Layout, Role, Scalar, TensorInfo


@dataclass(frozen=True, slots=True)
class Architecture:
    """What kind of model it is, and what says so.

    `family` is a lower-case label such as `bert`; `evidence` names the file and key it was
    read from. `config` holds the scalar settings of config.json.
    """

    family: str
    class_name: str | None
    evidence: str
    config: Mapping[str, Scalar] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The files of one checkpoint that hold tensors, by relative path.

    `unread` maps paths that look like checkpoint files and could not be read to the reason.
    `training` says how far training had come (epoch, global_step, ...), `notes` what is odd
    about the files taken together; each file's own oddities are in its layout.
    """

    name: str
    layouts: Mapping[str, Layout]
    architecture: Architecture | None = None
    unread: Mapping[str, str] = field(default_factory=dict)
    other_files_bytes: int = 0
    training: Mapping[str, Scalar] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def tensors(self) -> Iterator[tuple[str, TensorInfo]]:
        """Every tensor with the path of its file."""
        for path, layout in self.layouts.items():
            for tensor in layout.tensors:
                yield path, tensor

    def parameters_by_dtype(self, role: Role = Role.WEIGHTS) -> dict[DType, int]:
        """Element counts over all files of the tensors with this role, by dtype."""
        counts: Counter[DType] = Counter()
        for layout in self.layouts.values():
            counts.update(layout.parameters_by_dtype(role))
        return dict(counts)

    @property
    def size_bytes(self) -> int:
        """Plain bytes of the files that hold tensors."""
        return sum(layout.size_bytes for layout in self.layouts.values())
