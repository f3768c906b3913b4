"""The verb weights: what is odd about a fine-tune, against its base and beside its siblings.

Nothing is run, no verdict is given: facts, and a score with how often it errs on honest models.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cairn.errors import RequestError
from cairn.workflows.anomalies import (
    Signal,
    TensorAnomaly,
    is_table,
    signals,
    tensor_anomalies,
)
from cairn.workflows.readable import ReadableCheckpoint
from cairn.workflows.row_names import row_names
from cairn.workflows.updates import ModelUpdate, model_update, weight_pairs
from cairn.workflows.value_facts import Fact, bytes_to_look_at, value_facts

if TYPE_CHECKING:
    from cairn.analysis.chance import Chance

MOST_SIBLINGS = 100
_LOW_RANK_SHARE = 0.5  # of the matrices, from which an update counts as that of an adapter


@dataclass(frozen=True, slots=True)
class Evidence:
    """The score of one model, where it stands among the benchmark's models and its siblings.

    `score` is 0 for the median honest model of the benchmark and 1 for what one in twenty exceeds;
    None where there is nothing to compute it from. `leading` says which number it comes from.
    """

    score: float | None
    leading: Signal | None
    among_benchmark: "Chance | None"
    among_siblings: "Chance | None"


@dataclass(frozen=True, slots=True)
class WeightsReport:
    """Everything that is told of one fine-tune.

    `siblings` maps the name of each to its numbers and score. `row_names` maps a table's tensor to
    the tokens of the rows that are told; `facts` are of the model by itself. `looks_merged`: the
    update is of low rank by construction, so the benchmark's rates say nothing about it.
    """

    base: str
    update: ModelUpdate
    numbers: dict[Signal, float]
    tensors: tuple[TensorAnomaly, ...]
    evidence: Evidence
    siblings: tuple[tuple[str, dict[Signal, float], float | None], ...]
    row_names: dict[str, dict[int, str]]
    facts: tuple[Fact, ...]
    looks_merged: bool


def bytes_to_read(
    base: ReadableCheckpoint, model: ReadableCheckpoint, siblings: Sequence[ReadableCheckpoint]
) -> int:
    """Bytes that `judge` goes through: the base once for each model, the model twice more."""
    compared = sum(
        pair.bytes_to_compare for side in (model, *siblings) for pair in weight_pairs(base, side)
    )
    return compared + bytes_to_look_at(model)


def judge(
    base: ReadableCheckpoint,
    model: ReadableCheckpoint,
    siblings: Sequence[ReadableCheckpoint] = (),
    progress: Callable[[int], None] | None = None,
) -> WeightsReport:
    """Compare a fine-tune with its base, and its numbers with those of honest siblings.

    Memory: one matrix of 32 MiB, and of each model one number for every row and column.

    Raises:
        RequestError: too many siblings, or base and model have no weights of one name.
    """
    if len(siblings) > MOST_SIBLINGS:
        raise RequestError(f"{len(siblings)} siblings: at most {MOST_SIBLINGS} are compared")
    update = model_update(base, model, progress)
    if not (update.moved or update.still or update.unknown):
        raise RequestError(
            f"{model.checkpoint.name} has no weights by a name that {base.checkpoint.name} has:"
            " is it a fine-tune of it?"
        )
    numbers = signals(update)
    beside = []
    for sibling in siblings:
        found = signals(model_update(base, sibling, progress))
        beside.append((sibling.checkpoint.name, found, score_of(found)[0]))
    tensors = tuple(tensor_anomalies(update))
    told = {
        one.name: [row.index for row in one.rows] for one in tensors if one.rows and one.is_table
    }
    return WeightsReport(
        base=base.checkpoint.name,
        update=update,
        numbers=numbers,
        tensors=tensors,
        evidence=_evidence(numbers, [score for _, _, score in beside]),
        siblings=tuple(beside),
        row_names=row_names(model.files, told),
        facts=tuple(value_facts(model, progress)),
        looks_merged=_looks_merged(update),
    )


def score_of(numbers: dict[Signal, float]) -> tuple[float | None, Signal | None]:
    """The highest of the numbers that the score is made of, scaled, and which one it is."""
    from cairn.analysis.honest_models import SCALES

    scaled = [(SCALES[s.value].of(n), s) for s, n in numbers.items() if s.value in SCALES]
    return max(scaled, key=lambda one: one[0]) if scaled else (None, None)


def _evidence(numbers: dict[Signal, float], siblings: list[float | None]) -> Evidence:
    from cairn.analysis.chance import chance_of
    from cairn.analysis.honest_models import SCORES

    score, leading = score_of(numbers)
    if score is None:
        return Evidence(None, None, None, None)
    known = [one for one in siblings if one is not None]
    return Evidence(
        score=score,
        leading=leading,
        among_benchmark=chance_of(score, SCORES),
        among_siblings=chance_of(score, known) if known else None,
    )


def _looks_merged(update: ModelUpdate) -> bool:
    from cairn.analysis.evidence import is_low_rank

    matrices = [one for name, one in update.moved.items() if one.shares and not is_table(name)]
    low = sum(map(is_low_rank, matrices))
    return bool(matrices) and low >= _LOW_RANK_SHARE * len(matrices)
