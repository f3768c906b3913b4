"""The verb resume: a training loop made as it was when it was saved, or nothing changed at all."""

import random
import warnings
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from cairn.errors import RequestError, UntrustedDataError
from cairn.training.capture import VALUES, parts_of
from cairn.training.checkpoints import metrics_in
from cairn.training.environment import Difference
from cairn.training.exactness import check_allowed, differences_now, inexact
from cairn.training.fit import check_count, check_files, check_parts, check_states, checked_record
from cairn.training.folders import StepFolder, step_folder
from cairn.training.modules import ModulePart, device_kinds
from cairn.training.parts import Part
from cairn.training.ranks.group import Ranks, ranks
from cairn.training.ranks.states import SavedStates
from cairn.training.record import Record
from cairn.training.seeds import sample_seed
from cairn.training.stateful import RandomStatesPart
from cairn.training.values import Decoder


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
    return resume_together(
        ranks(), Path(folder), parts, step=step, allow=allow, data_digest=data_digest, code=code
    )


def resume_together(
    together: Ranks,
    root: Path,
    parts: Mapping[str, object],
    *,
    step: int | None,
    allow: Collection[str] | str,
    data_digest: str | None,
    code: Path | None,
) -> Resumed:
    """The same for the ranks that are given; what one of them refuses, none takes.

    Raises:
        As `resume`.
    """
    with together.agreeing():
        found = step_folder(root, step)
        record = checked_record(root, found)
    _check_is_shared(found, together)
    rank = together.number
    with together.agreeing():
        different = tuple(differences_now(record, rank, data_digest, code, device_kinds(parts)))
        check_allowed(root, found, different, allow)
        live = parts_of(parts, accumulated=record.accumulated)
        check_parts(record, live)
        check_count(record, together)
        check_files(root, found, record, together)
        saved = SavedStates(found.path, record, rank)
        check_states(found, saved, live)
        values = Decoder(saved.tensors(VALUES), VALUES).decode(saved.state(VALUES))
    _load(saved, live, together)
    if rank >= record.ranks.size:
        _reseed(record, rank)
    if different:
        warnings.warn(inexact(found, different), stacklevel=3)
    return Resumed(
        record.step, found.path, metrics_in(record), values, record.accumulated, different
    )


def _check_is_shared(found: StepFolder, together: Ranks) -> None:
    """Whether all ranks see the same checkpoint."""
    first = together.shared(found.path.name)
    with together.agreeing():
        if found.path.name != first:
            raise RequestError(
                f"{found.path} is the newest to be seen from here, {first} from rank 0:"
                " the folder has to lie on a disk that all ranks share"
            )


def _reseed(record: Record, rank: int) -> None:
    """Random numbers for a rank that was not there when the checkpoint was saved."""
    seed = sample_seed(torch.initial_seed(), record.step, rank)
    random.seed(seed)
    np.random.seed(seed % (1 << 32))
    torch.manual_seed(seed)


# --- putting back --------------------------------------------------------------------------


def _load(states: SavedStates, live: Mapping[str, Part], together: Ranks) -> None:
    """All parts; if one refuses, on whatever rank, those before it get back what they had.

    Models come after what may refuse. Random numbers come first, to see whether they are taken,
    and once more at the end: loading the others may draw some.
    """
    random_part = [part for part in live.values() if isinstance(part, RandomStatesPart)]
    models = [part for part in live.values() if isinstance(part, ModulePart)]
    others = [part for part in live.values() if part not in random_part and part not in models]
    done: list[tuple[Part, Any]] = []
    try:
        for some in ((*random_part, *others), (*models, *random_part)):
            with together.agreeing():
                for part in some:
                    done.append((part, part.keep()))
                    _load_one(states, part)
    except BaseException:
        for changed, before in reversed(done):
            if before is not None:
                changed.load(before)
        raise


def _load_one(states: SavedStates, part: Part) -> None:
    try:
        part.load(part.decoder(states.tensors(part.name)).decode(states.state(part.name)))
    except BaseException as error:
        if isinstance(error, Exception) and not isinstance(error, UntrustedDataError):
            raise part.refused(error) from error
        raise
