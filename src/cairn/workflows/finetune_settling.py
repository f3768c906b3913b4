"""What a recipe leaves open, settled before training: its learning rate and size of batches."""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from cairn.domain import Role
from cairn.domain.finetuning import (
    AUTO_BATCH,
    USUAL_BATCH,
    FineTuning,
    Precision,
    TaskName,
    lighter,
)
from cairn.domain.learning_rates import usual_learning_rate
from cairn.errors import MalformedError, RequestError
from cairn.estimation.devices import CPU, catalogue
from cairn.estimation.estimate import largest_batch
from cairn.estimation.memory import memory
from cairn.estimation.plan import Attention, Method, Plan
from cairn.estimation.plan import Precision as Numbers
from cairn.estimation.subject import Subject
from cairn.estimation.walking import Walker
from cairn.formats.fetched_folders import called
from cairn.workflows.estimate import subject_of, trained_model
from cairn.workflows.finetune_recipe import RECIPE, read_recipe
from cairn.workflows.finetune_work import Work
from cairn.workflows.inspect import read_path

FILLED = 0.85
"""How much of the free memory is filled: closed forms are within 15 % (docs/estimate.md)."""
_USUAL_LENGTH = 512  # tokens; texts are padded to the longest of a batch, mostly less
_SOUND = 16_000 * 30  # samples: half a minute, at the rate of wav2vec 2.0
# Texts of a row that go through the model together.
_TEXTS = {TaskName.SENTENCE_SIMILARITY: 3}
_LIMITS = ("max_position_embeddings", "n_positions")


@dataclass(frozen=True, slots=True)
class Room:
    """Memory that is free for training, for one process; whether matrices are best in 16 bits."""

    device: str
    free_bytes: int
    is_on_cpu: bool
    is_fast_in_16_bits: bool


def settled(work: Work, said: Callable[[str], None], processes: int = 1) -> Work:
    """The same with a learning rate and a batch size; `said` is told what was chosen.

    `processes` share a batch. A folder that was begun keeps the size that it was begun with.

    Raises:
        RequestError: the base has no weights; not one row fits; nobody knows what a row takes.
        UntrustedDataError: the base cannot be read.
    """
    recipe = work.recipe
    if work.is_of_agent:  # its rate is in its file, and so is its batch
        return work
    if recipe.learning_rate is None:
        parameters = _parameters(work.base.path)
        rate = usual_learning_rate(recipe.method, recipe.task, parameters)
        recipe = replace(recipe, learning_rate=rate)
    if recipe.batch_size == AUTO_BATCH:
        kept = _kept(work.out / RECIPE)
        rows = recipe.accumulate * USUAL_BATCH
        if kept.get("batch_size", 0) * kept.get("accumulate", 0) == rows:
            size = int(kept["batch_size"])
        else:
            size = _fitting(recipe, work.base.path, _room(work.device), rows, processes, said)
        recipe = replace(recipe, batch_size=size, accumulate=rows // size)
    return replace(work, recipe=recipe)


def _parameters(base: Path) -> int:
    """How many the model that is trained has."""
    found = read_path(base).checkpoint
    for path, why in sorted(found.unread.items()):
        if path.endswith(".safetensors"):
            raise MalformedError(why, source=path, hint=f"fetch {called(base)} again")
    model = trained_model(found)
    return sum(one.elements for one in model.tensors.values() if one.role is Role.WEIGHTS)


def _kept(path: Path) -> Mapping[str, Any]:
    return read_recipe(path) if path.is_file() else {}


def _room(device: str) -> Room:
    from cairn.training.finetuning.devices import device_of, is_fast_in_bfloat16
    from cairn.training.finetuning.memory import free_bytes

    place = device_of(device)
    return Room(str(place), free_bytes(place), place.type == CPU, is_fast_in_bfloat16(place))


def _fitting(
    recipe: FineTuning,
    base: Path,
    room: Room,
    rows: int,
    processes: int,
    said: Callable[[str], None],
) -> int:
    """The most rows at once that divide a step of `rows`, and that the processes can share."""
    if rows % processes:
        raise RequestError(
            f"{processes} processes cannot share a step of {rows} rows equally: give a"
            " --batch-size and --accumulate"
        )
    texts = _TEXTS.get(recipe.task, 1)
    try:
        walker = Walker(subject_of(read_path(base).checkpoint))
        plan = replace(_plan(recipe, walker.subject, room), batch=texts)
        least = memory(walker, plan).total
    except (RequestError, ArithmeticError, LookupError, ValueError) as error:
        raise RequestError(
            f"nobody knows what a row takes in this base ({error}): give a --batch-size"
        ) from None
    bytes_free = room.free_bytes * FILLED / (_neighbours(processes) if room.is_on_cpu else 1)
    device = replace(catalogue().find(CPU), memory_gb=bytes_free / 1e9)
    most = largest_batch(walker, plan, device) // texts
    if not most:
        ways = ", ".join([*lighter(recipe), "a smaller --max-length"])
        raise RequestError(
            f"one row takes about {least / 1e9:.1f} GB, and {bytes_free / 1e9:.1f} GB of"
            f" {room.device} may be filled: try {ways}; `cairn estimate` says what each takes"
        )
    share = rows // processes
    own = max(size for size in range(1, min(most, share) + 1) if share % size == 0)
    needed = memory(walker, replace(plan, batch=own * texts)).total
    passes = share // own
    said(
        f"a step of {rows} rows is {passes} {'passes' if passes > 1 else 'pass'} of"
        f" {own * processes}: about {needed / 1e9:.2f} GB of the"
        f" {room.free_bytes / 1e9:.1f} GB that are free on {room.device}"
    )
    return own * processes


def _neighbours(processes: int) -> int:
    """How many processes share the memory of this machine."""
    return int(os.environ.get("LOCAL_WORLD_SIZE", processes))


def _plan(recipe: FineTuning, subject: Subject, room: Room) -> Plan:
    """As the estimator has it: rows as long as they may be."""
    limits = [subject.facts.get(name) or subject.config.get(name) for name in _LIMITS]
    longest = min((int(one) for one in limits if one), default=_USUAL_LENGTH)
    is_narrow = recipe.precision is Precision.BFLOAT16 or (
        recipe.precision is Precision.AUTO and room.is_fast_in_16_bits
    )
    is_sound = recipe.task is TaskName.SPEECH_RECOGNITION and subject.family != "whisper"
    return Plan(
        method=Method(recipe.method.value),
        seq=_SOUND if is_sound else min(longest, recipe.max_length or _USUAL_LENGTH),
        precision=Numbers.AMP if is_narrow else Numbers.FP32,
        checkpointing=recipe.gradient_checkpointing,
        # With dropout, the fused kernel of a CPU keeps the probabilities too.
        attention=Attention.EAGER if room.is_on_cpu else Attention.FUSED,
        rank=recipe.rank,
        adapter_dropout=recipe.adapter_dropout,
        targets=recipe.targets,
        on_cpu=room.is_on_cpu,
    )
