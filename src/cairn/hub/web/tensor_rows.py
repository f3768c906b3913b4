"""The tensors of a checkpoint as table rows: filtered, sorted."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from cairn.domain import Checkpoint
from cairn.errors import RequestError
from cairn.hub.web.wording import shape_text

# key: (label, whether its values are numbers)
COLUMNS: dict[str, tuple[str, bool]] = {
    "name": ("Name", False),
    "dtype": ("Dtype", False),
    "shape": ("Shape", False),
    "elements": ("Elements", True),
    "bytes": ("Bytes", True),
    "role": ("Role", False),
    "file": ("File", False),
}


@dataclass(frozen=True, slots=True)
class TensorRow:
    """One tensor as text and numbers."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    elements: int
    size_bytes: int
    role: str
    file: str

    @property
    def search(self) -> str:
        """What the filter looks into, in lower case."""
        parts = (self.name, self.dtype, shape_text(self.shape), self.role, self.file)
        return " ".join(parts).lower()


def tensor_rows(checkpoint: Checkpoint) -> list[TensorRow]:
    """Every tensor, in the order of the files."""
    return [
        TensorRow(
            name=tensor.name,
            dtype=tensor.dtype.label,
            shape=tensor.shape,
            elements=tensor.elements,
            size_bytes=tensor.dtype.size_bytes(tensor.elements),
            role=tensor.role.value,
            file=path,
        )
        for path, tensor in checkpoint.tensors()
    ]


def chosen_rows(rows: list[TensorRow], chosen: Mapping[str, str]) -> list[TensorRow]:
    """The rows that hold every word of `q` and have the dtype, role and file asked for, sorted.

    Raises:
        RequestError: `sort` or `order` is unknown.
    """
    words = chosen["q"].lower().split()
    kept = [
        row
        for row in rows
        if (not words or all(word in row.search for word in words))
        and chosen["dtype"] in ("", row.dtype)
        and chosen["role"] in ("", row.role)
        and chosen["file"] in ("", row.file)
    ]
    sort, order = chosen["sort"], chosen["order"]
    if order not in ("", "asc", "desc"):
        raise RequestError("order must be 'asc' or 'desc'")
    if not sort:
        return kept
    key = _sort_keys().get(sort)
    if key is None:
        raise RequestError(f"sort {sort[:40]!r} is unknown: use one of {', '.join(COLUMNS)}")
    return sorted(kept, key=key, reverse=order == "desc")


def _sort_keys() -> dict[str, Callable[[TensorRow], Any]]:
    return {
        "name": lambda row: row.name,
        "dtype": lambda row: row.dtype,
        "shape": lambda row: row.shape,
        "elements": lambda row: row.elements,
        "bytes": lambda row: row.size_bytes,
        "role": lambda row: row.role,
        "file": lambda row: row.file,
    }
