"""The verb resume: a training loop made as it was when it was saved, or nothing changed at all."""

import hashlib
import math
import warnings
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from blake3 import blake3
from torch import Tensor

from cairn.errors import (
    EntryNotFoundError,
    InexactError,
    IntegrityError,
    MalformedError,
    RequestError,
    UntrustedDataError,
)
from cairn.formats import FileSource
from cairn.formats.training_record import RECORD
from cairn.provenance.code_revision import code_revision, program_folder
from cairn.training.capture import OWN, VALUES, parts_of
from cairn.training.environment import Difference, differences, environment
from cairn.training.folders import StepFolder, step_folder, step_folders
from cairn.training.modules import ModulePart
from cairn.training.parts import Part, listed
from cairn.training.record import Record, parse_record
from cairn.training.stateful import RandomStatesPart
from cairn.training.tensors import read_tensors
from cairn.training.values import Decoder

EVERYTHING = "everything"
_BLOCK_BYTES = 8 << 20
_OTHERS = "states of other processes"
_NOT_FINITE = "not finite"


@dataclass(frozen=True, slots=True)
class Resumed:
    """What a checkpoint gave back beside the state of the parts.

    `differences` are what may make the run go on otherwise than it would have; empty: bit for
    bit as before.
    """

    step: int
    folder: Path
    metrics: Mapping[str, float]
    values: Mapping[str, Any]
    accumulated: int
    differences: tuple[Difference, ...]

    @property
    def is_exact(self) -> bool:
        """Whether the run goes on as if it had never stopped."""
        return not self.differences


def steps(folder: Path | str) -> list[int]:
    """The steps that are kept in a folder, in order; empty where there is no folder."""
    return [found.step for found in step_folders(Path(folder))]


def resume(
    folder: Path | str,
    *,
    step: int | None = None,
    allow: Collection[str] | str = (),
    data_digest: str | None = None,
    code: Path | None = None,
    **parts: object,
) -> Resumed:
    """Put the state of a checkpoint, the newest unless `step` names one, back into the parts.

    `parts` are the same as when it was saved, built anew. All bytes, names, shapes and types are
    checked before any part is changed. `allow` has the names of differences to go on with
    (`{"threads", "torch"}`), or is "everything".

    Raises:
        EntryNotFoundError: there is no such checkpoint.
        IntegrityError: it is damaged.
        UnavailableError: it was written by a newer Cairn.
        RequestError: it is of other parts, or they do not fit.
        InexactError: the run would not go on bit for bit, and `allow` does not say that it may.
    """
    root = Path(folder)
    found = step_folder(root, step)
    record = _record(found)
    different = tuple(_differences(record, data_digest, code))
    _check_allowed(root, found, different, allow)
    live = parts_of(parts, accumulated=record.accumulated)
    _check_parts(record, live)
    _check_files(root, found, record)
    tensors = {name: read_tensors(found.path / name) for name in record.files}
    _check_states(found, record, live, tensors)
    values = Decoder(tensors.get(f"{VALUES}.safetensors", {}), VALUES).decode(record.values)
    _load(record, live, tensors)
    if different:
        warnings.warn(_inexact(found, different), stacklevel=2)
    return Resumed(record.step, found.path, _metrics(record), values, record.accumulated, different)


def metrics_of(found: StepFolder) -> dict[str, float]:
    """The metrics that a checkpoint was saved with.

    Raises:
        IntegrityError, UntrustedDataError, UnavailableError: its record cannot be read.
    """
    return _metrics(_record(found))


def values_of(folder: Path, step: int) -> dict[str, Any]:
    """The `values` that a step was saved with.

    Raises:
        EntryNotFoundError: there is no such step.
        IntegrityError, UntrustedDataError, UnavailableError: it cannot be read.
    """
    found = step_folder(folder, step)
    record = _record(found)
    file = f"{VALUES}.safetensors"
    tensors = read_tensors(found.path / file) if file in record.files else {}
    values: dict[str, Any] = Decoder(tensors, VALUES).decode(record.values)
    return values


def is_finite(value: float) -> bool:
    """Neither NaN nor infinite; integers of any size are finite."""
    return -math.inf < value < math.inf


def _metrics(record: Record) -> dict[str, float]:
    metrics: dict[str, Any] = Decoder({}, "metrics").decode(record.metrics)
    for name, value in metrics.items():
        if not isinstance(value, int | float):
            raise MalformedError(f"the metric {name[:100]!r} is no number", source=RECORD)
    return metrics


def _record(found: StepFolder) -> Record:
    path = found.path / RECORD
    try:
        return parse_record(path.read_bytes(), str(path))
    except OSError as error:
        raise IntegrityError(f"{path} cannot be read: {error}") from None


# --- whether it would be exact -------------------------------------------------------------


def _differences(
    record: Record, data_digest: str | None, code: Path | None
) -> Iterator[Difference]:
    now = environment(code_revision(code or program_folder()), data_digest)
    yield from differences(record.environment, now)
    processes = record.environment.get("processes")
    if processes != 1:
        yield Difference(_OTHERS, processes, 1)
    for name, value in _metrics(record).items():
        if not is_finite(value):
            yield Difference(_NOT_FINITE, f"{name} = {value}", None)


def _check_allowed(
    root: Path, found: StepFolder, different: tuple[Difference, ...], allow: Collection[str] | str
) -> None:
    allowed = {allow} if isinstance(allow, str) else set(allow)
    refused = [one for one in different if one.name not in allowed]
    if not refused or EVERYTHING in allowed:
        return
    names = ", ".join(sorted({repr(one.name) for one in refused}))
    advice = f"nothing was changed: go on all the same with allow={{{names}}}"
    if any(one.name == _NOT_FINITE for one in refused):
        advice += _finite_before(root, found)
    raise InexactError(f"{_inexact(found, refused)}; {advice}", tuple(map(str, refused)))


def _inexact(found: StepFolder, different: Collection[Difference]) -> str:
    return f"{found.path.name} is not exact because {'; '.join(map(str, different))}"


def _finite_before(root: Path, found: StepFolder) -> str:
    """The newest older step whose metrics are numbers, as advice."""
    for earlier in reversed(step_folders(root)):
        if earlier.step < found.step and all(map(is_finite, metrics_of(earlier).values())):
            return f", or from before that with step={earlier.step}"
    return ""


# --- whether it fits -----------------------------------------------------------------------


def _check_parts(record: Record, live: Mapping[str, Part]) -> None:
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


def _check_states(
    found: StepFolder,
    record: Record,
    live: Mapping[str, Part],
    tensors: Mapping[str, Mapping[str, Tensor]],
) -> None:
    for name, part in live.items():
        saved = record.parts[name]
        try:
            part.check(saved.state, tensors.get(saved.file or "", {}))
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            source = str(found.path / RECORD)
            why = f"the state of {name} is not that of a {part.kind}: {error!r}"
            raise MalformedError(why, source=source) from None


def _check_files(root: Path, found: StepFolder, record: Record) -> None:
    """Whether every file has the bytes that were written."""
    for name, file in record.files.items():
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
            older = [one.step for one in step_folders(root) if one.step < found.step]
            advice = f"resume from before it with step={older[-1]}" if older else "none is older"
            raise IntegrityError(f"{path} {why}; nothing was changed: {advice}")


def _digest(source: FileSource, algorithm: str) -> str:
    digest = blake3() if algorithm == "blake3" else hashlib.new(algorithm)
    for at in range(0, source.size_bytes, _BLOCK_BYTES):
        digest.update(source.read_at(at, _BLOCK_BYTES))
    return digest.hexdigest()


# --- putting back --------------------------------------------------------------------------


def _load(
    record: Record, live: Mapping[str, Part], tensors: Mapping[str, Mapping[str, Tensor]]
) -> None:
    """All parts; if one refuses, those before it get back what they had.

    Models come after what may refuse. Random numbers come first, to see whether they are taken,
    and once more at the end: loading the others may draw some.
    """
    random = [part for part in live.values() if isinstance(part, RandomStatesPart)]
    models = [part for part in live.values() if isinstance(part, ModulePart)]
    others = [part for part in live.values() if part not in random and part not in models]
    done: list[tuple[Part, Any]] = []
    for part in (*random, *others, *models, *random):
        saved = record.parts[part.name]
        done.append((part, part.keep()))
        try:
            part.load(part.decoder(tensors.get(saved.file or "", {})).decode(saved.state))
        except BaseException as error:
            for changed, before in reversed(done):
                if before is not None:
                    changed.load(before)
            if isinstance(error, Exception) and not isinstance(error, UntrustedDataError):
                raise part.refusal(f"does not take the saved state: {error}") from error
            raise
