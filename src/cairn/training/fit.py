"""Whether a checkpoint is whole and fits the parts of a loop, looked at before any is changed."""

import hashlib
from collections.abc import Mapping
from pathlib import Path

from blake3 import blake3

from cairn.errors import (
    EntryNotFoundError,
    IntegrityError,
    MalformedError,
    RequestError,
    UntrustedDataError,
)
from cairn.formats import FileSource
from cairn.formats.training_record import RECORD
from cairn.training.capture import OWN
from cairn.training.checkpoints import readable_before, record_of
from cairn.training.folders import StepFolder
from cairn.training.modules import ModulePart
from cairn.training.parts import Part, listed
from cairn.training.ranks.group import Ranks
from cairn.training.ranks.states import SavedStates
from cairn.training.record import Record

_BLOCK_BYTES = 8 << 20


def check_parts(record: Record, live: Mapping[str, Part]) -> None:
    """Whether the loop has the parts that were saved, no more and no others.

    Raises:
        RequestError: it has not.
    """
    missing, unknown = sorted(set(record.parts) - set(live)), sorted(set(live) - set(record.parts))
    if missing:
        raise RequestError(
            f"the checkpoint also has {listed(missing)}: hand it to resume, or the run would go on"
            " otherwise; nothing was changed"
        )
    if unknown:
        has = listed(sorted(set(record.parts) - set(OWN)))
        raise RequestError(
            f"the checkpoint has no {listed(unknown)}, only {has}; nothing was changed"
        )
    for name, part in live.items():
        saved = record.parts[name]
        if part.kind != saved.kind or (
            part.class_name != saved.class_name and not isinstance(part, ModulePart)
        ):
            raise part.refusal(f"is a {part.class_name} here, a {saved.class_name} was saved")


def check_count(record: Record, together: Ranks) -> None:
    """Whether what was in the middle of a step can be gone on with by so many ranks.

    Raises:
        RequestError: it cannot.
    """
    was = record.ranks.size
    if record.accumulated and was != together.size:
        raise RequestError(
            f"{was} ranks were in the middle of a step, whose gradients {together.size} cannot"
            " share out: resume from a checkpoint between two steps; nothing was changed"
        )


def check_states(found: StepFolder, states: SavedStates, live: Mapping[str, Part]) -> None:
    """Whether every part takes its state.

    Raises:
        RequestError: one does not. UntrustedDataError: the record misstates it.
    """
    for name, part in live.items():
        try:
            part.check(states.state(name), states.tensors(name))
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            source = str(found.path / RECORD)
            why = f"the state of {name} is not that of a {part.kind}: {error!r}"
            raise MalformedError(why, source=source) from None


def check_files(root: Path, found: StepFolder, record: Record, together: Ranks) -> None:
    """Whether every file has the bytes that were written; each rank looks at some.

    Raises:
        IntegrityError: one has not.
    """
    for name, file in list(record.files.items())[together.number :: together.size]:
        path = found.path / name
        why = ""
        try:
            with FileSource(path) as source:
                if source.size_bytes != file.size_bytes:
                    why = f"has {source.size_bytes:,} bytes, {file.size_bytes:,} were written"
                elif _digest(source, file.digest.algorithm) != file.digest.hex:
                    why = "does not have the bytes that were written"
        except EntryNotFoundError:
            why = "is missing"
        if why:
            raise IntegrityError(f"{path} {why}; nothing was changed: {_before(root, found)}")


def checked_record(root: Path, found: StepFolder) -> Record:
    """The record of a checkpoint.

    Raises:
        IntegrityError, UntrustedDataError: it is damaged, or none; a step before it is named.
        UnavailableError: a newer Cairn wrote it.
    """
    try:
        return record_of(found)
    except IntegrityError as error:
        raise IntegrityError(f"{error}; nothing was changed: {_before(root, found)}") from None
    except UntrustedDataError as error:
        hint = f"nothing was changed: {_before(root, found)}"
        raise type(error)(error.what, source=error.source, offset=error.offset, hint=hint) from None


def _before(root: Path, found: StepFolder) -> str:
    """The newest older step with a record that can be read, as advice."""
    older = next(readable_before(root, found), None)
    return f"resume from before it with step={older[0].step}" if older else "none is older"


def _digest(source: FileSource, algorithm: str) -> str:
    digest = blake3() if algorithm == "blake3" else hashlib.new(algorithm)
    for at in range(0, source.size_bytes, _BLOCK_BYTES):
        digest.update(source.read_at(at, _BLOCK_BYTES))
    return digest.hexdigest()
