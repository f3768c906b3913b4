"""What a checkpoint is made of, arranged for a page: totals as bars, tensors as a table."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from cairn.domain import Checkpoint, Entry, Role, Scalar, TensorInfo
from cairn.errors import EntryNotFoundError, RequestError
from cairn.hub.web.health_view import HealthView, health_view
from cairn.hub.web.model import ModelShown, model_of
from cairn.hub.web.modules import module_counts
from cairn.hub.web.parts import dtype_parts, role_tint, tint
from cairn.hub.web.svg import Part, stacked_bar
from cairn.hub.web.tensor_rows import COLUMNS, TensorRow, chosen_rows, tensor_rows
from cairn.hub.web.visit import Visit
from cairn.hub.web.wording import bytes_text, count_text
from cairn.workflows.stored_health import known_health

PAGE_SIZE = 500
MAX_METADATA_ROWS = 400
MAX_NOTES = 20
MAX_VALUE_CHARACTERS = 500
_MODEL = frozenset((Role.WEIGHTS, Role.BUFFERS))


@dataclass(frozen=True)
class Anatomy:
    """Everything `tensor_view.html` shows."""

    parameters: int
    tensor_bytes: int
    total: int
    matching: int
    files: list[str]
    family: str
    family_note: str
    dtype_parts: list[Part]
    dtype_bar: Markup
    role_parts: list[Part]
    role_bar: Markup
    module_parts: list[Part]
    module_bar: Markup
    unread: list[tuple[str, str]]
    notes: list[str]
    chosen: dict[str, str]
    choices: list[tuple[str, str, list[str]]]
    columns: list[tuple[str, str, bool, str, str | None]]
    rows: list[TensorRow]
    complete: bool
    previous: str | None
    next: str | None
    page_note: str
    metadata: list[tuple[str, str]]
    evidence: str
    config: list[tuple[str, str]]
    model: ModelShown
    health: HealthView


NO_CONFIG = "no config.json that says the architecture"


def anatomy_of(
    visit: Visit, checkpoint: Checkpoint, entries: Mapping[str, Entry], if_unknown: str = NO_CONFIG
) -> Anatomy:
    """Arrange a checkpoint as the query parameters (q, dtype, role, file, sort, order, page) ask.

    `entries` are the files it was read from; `if_unknown` is said where no architecture is known.

    Raises:
        RequestError: a parameter has a value that does not exist.
        EntryNotFoundError: there is no such page.
    """
    rows = tensor_rows(checkpoint)
    chosen = {name: visit.text(name) for name in ("q", "dtype", "role", "file", "sort", "order")}
    matching = chosen_rows(rows, chosen)
    number = visit.page_number()
    start = (number - 1) * PAGE_SIZE
    shown = matching[start : start + PAGE_SIZE]
    if number > 1 and not shown:
        raise EntryNotFoundError(f"there is no page {number} of this table")
    return Anatomy(
        total=len(rows),
        matching=len(matching),
        files=sorted(checkpoint.layouts),
        unread=sorted(checkpoint.unread.items()),
        notes=_notes(checkpoint),
        chosen=chosen,
        choices=_choices(rows, chosen),
        columns=_columns(visit, chosen, several_files=len(checkpoint.layouts) > 1),
        rows=shown,
        complete=len(shown) == len(rows),
        previous=visit.with_query(page=number - 1) if number > 1 else None,
        next=visit.with_query(page=number + 1) if start + PAGE_SIZE < len(matching) else None,
        page_note=f"{start + 1:,} to {start + len(shown):,} of {len(matching):,}",
        metadata=_metadata(checkpoint),
        model=model_of(checkpoint),
        health=health_view(
            known_health(visit.house, checkpoint, entries), ((row.file, row.name) for row in shown)
        ),
        **_totals(checkpoint, rows),
        **_architecture(checkpoint, if_unknown),
    )


def _totals(checkpoint: Checkpoint, rows: list[TensorRow]) -> dict[str, Any]:
    by_dtype = {d.label: n for d, n in checkpoint.parameters_by_dtype().items()}
    dtypes = dtype_parts(by_dtype)
    by_role: Counter[Role] = Counter()
    for _, tensor in checkpoint.tensors():
        by_role[tensor.role] += tensor.size_bytes
    roles = [
        Part(role.value, size, bytes_text(size), role_tint(role))
        for role, size in by_role.most_common()
    ]
    modules = [
        Part(name, count, count_text(count), tint(index))
        for index, (name, count) in enumerate(
            module_counts((one.name, one.elements) for one in _of_the_model(checkpoint))
        )
    ]
    return {
        "parameters": sum(by_dtype.values()),
        "tensor_bytes": sum(row.size_bytes for row in rows),
        "dtype_parts": dtypes,
        "dtype_bar": _bar(dtypes, "Parameters by dtype"),
        "role_parts": roles,
        "role_bar": _bar(roles, "Bytes by role"),
        "module_parts": modules,
        "module_bar": _bar(modules, "Elements by module"),
    }


def _of_the_model(checkpoint: Checkpoint) -> list[TensorInfo]:
    """Its tensors without those of the training around it, if that leaves any."""
    tensors = [tensor for _, tensor in checkpoint.tensors()]
    return [one for one in tensors if one.role in _MODEL] or tensors


def _bar(parts: list[Part], title: str) -> Markup:
    description = ", ".join(f"{part.label} {part.text}" for part in parts) or "nothing"
    return stacked_bar(parts, title, description)


def _architecture(checkpoint: Checkpoint, if_unknown: str) -> dict[str, Any]:
    found = checkpoint.architecture
    if found is None:
        return {"family": "", "family_note": if_unknown, "evidence": "", "config": []}
    note = f"{found.class_name}, " if found.class_name else ""
    return {
        "family": found.family,
        "family_note": f"{note}says {found.evidence}",
        "evidence": found.evidence,
        "config": _pairs(found.config.items()),
    }


def _notes(checkpoint: Checkpoint) -> list[str]:
    named = [
        f"{path}: {note}" for path, layout in checkpoint.layouts.items() for note in layout.notes
    ]
    return [*checkpoint.notes, *named][:MAX_NOTES]


def _metadata(checkpoint: Checkpoint) -> list[tuple[str, str]]:
    several = len(checkpoint.layouts) > 1
    merged: dict[str, Scalar] = {f"training.{k}": v for k, v in checkpoint.training.items()}
    for path, values in checkpoint.values():
        prefix = f"{path}: " if several else ""
        merged.update({f"{prefix}{key}": value for key, value in values.items()})
    return _pairs(sorted(merged.items()))


def _pairs(items: Iterable[tuple[str, Scalar]]) -> list[tuple[str, str]]:
    shown = []
    for key, value in items:
        text = str(value)
        cut = f"{text[:MAX_VALUE_CHARACTERS]}…" if len(text) > MAX_VALUE_CHARACTERS else text
        shown.append((key[:MAX_VALUE_CHARACTERS], cut))
    return shown[:MAX_METADATA_ROWS]


def _choices(rows: list[TensorRow], chosen: Mapping[str, str]) -> list[tuple[str, str, list[str]]]:
    """The selects above the table: those with something to select."""
    named = (
        ("dtype", "Dtype", sorted({row.dtype for row in rows})),
        ("role", "Role", sorted({row.role for row in rows})),
        ("file", "File", sorted({row.file for row in rows})),
    )
    for name, _, values in named:
        if chosen[name] and chosen[name] not in values:
            raise RequestError(f"{name} {chosen[name][:80]!r} does not occur in this checkpoint")
    return [(name, label, values) for name, label, values in named if len(values) > 1]


def _columns(
    visit: Visit, chosen: Mapping[str, str], *, several_files: bool
) -> list[tuple[str, str, bool, str, str | None]]:
    """Key, label, whether numeric, link that sorts by it, and how it is sorted now."""
    out = []
    for key, (label, numeric) in COLUMNS.items():
        if key == "file" and not several_files:
            continue
        current = chosen["sort"] == key
        down = current and chosen["order"] == "desc"
        order = "desc" if current and not down else ("asc" if current else None)
        link = visit.with_query(sort=key, order=order, page=None)
        state = ("descending" if down else "ascending") if current else None
        out.append((key, label, numeric, link, state))
    return out
