"""What saved checkpoints say of themselves, without putting anything back."""

import math
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from cairn.errors import IntegrityError, MalformedError, UnavailableError, UntrustedDataError
from cairn.formats.training_record import RECORD
from cairn.training.capture import VALUES
from cairn.training.folders import StepFolder, step_folder, step_folders
from cairn.training.ranks.states import SavedStates
from cairn.training.record import Record, parse_record
from cairn.training.values import Decoder


def steps(folder: Path | str) -> list[int]:
    """The steps that are kept in a folder, in order; empty where there is no folder."""
    return [found.step for found in step_folders(Path(folder))]


def metrics_of(found: StepFolder) -> dict[str, float]:
    """The metrics that a checkpoint was saved with.

    Raises:
        IntegrityError, UntrustedDataError, UnavailableError: its record cannot be read.
    """
    return metrics_in(record_of(found))


def readable_before(root: Path, found: StepFolder) -> Iterator[tuple[StepFolder, dict[str, float]]]:
    """Older steps and their metrics, the newest first, without those whose record is damaged."""
    for earlier in reversed(step_folders(root)):
        if earlier.step < found.step:
            with suppress(IntegrityError, UntrustedDataError, UnavailableError):
                yield earlier, metrics_of(earlier)


def values_of(folder: Path, step: int) -> dict[str, Any]:
    """The `values` that a step was saved with.

    Raises:
        EntryNotFoundError: there is no such step.
        IntegrityError, UntrustedDataError, UnavailableError: it cannot be read.
    """
    found = step_folder(folder, step)
    saved = SavedStates(found.path, record_of(found), 0)
    values: dict[str, Any] = Decoder(saved.tensors(VALUES), VALUES).decode(saved.state(VALUES))
    return values


def is_finite(value: float) -> bool:
    """Neither NaN nor infinite; integers of any size are finite."""
    return -math.inf < value < math.inf


def metrics_in(record: Record) -> dict[str, float]:
    """The metrics in a record.

    Raises:
        MalformedError: one is no number.
    """
    metrics: dict[str, Any] = Decoder({}, "metrics").decode(record.metrics)
    for name, value in metrics.items():
        if not isinstance(value, int | float):
            raise MalformedError(f"the metric {name[:100]!r} is no number", source=RECORD)
    return metrics


def record_of(found: StepFolder) -> Record:
    """What a checkpoint says of itself.

    Raises:
        IntegrityError, UntrustedDataError, UnavailableError: it cannot be read.
    """
    path = found.path / RECORD
    try:
        return parse_record(path.read_bytes(), str(path))
    except OSError as error:
        raise IntegrityError(f"{path} cannot be read: {error}") from None
