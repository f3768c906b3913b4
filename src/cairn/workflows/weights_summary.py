"""A report on weights in a few sentences: facts, and what the score is worth. Never a verdict."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from cairn.workflows.anomalies import Signal
from cairn.workflows.weights import WeightsReport

if TYPE_CHECKING:
    from cairn.analysis.chance import Chance

SHOWN = 4
_MEANING = {
    Signal.CONCENTRATION: "how far the update's first direction stands above the second",
    Signal.WORDS: "how far one row of a table of words moved beyond its neighbours in rank",
}
_SMALL_P = 0.05


def summary(found: WeightsReport) -> list[str]:
    """Sentences, the most general first; at least one."""
    beside = about_siblings(found.evidence.among_siblings, len(found.siblings))
    return [*_moved(found), *_score(found), *_rates(found), *beside, *_limits(found)]


def own_summary(found: WeightsReport) -> list[str]:
    """The same without a word on siblings: what is so whatever else there is."""
    return [*_moved(found), *_score(found), *_rates(found), *_limits(found)]


def _moved(found: WeightsReport) -> Iterator[str]:
    update = found.update
    if not update.moved:
        yield f"No weight of {len(update.still):,} differs from the base."
    else:
        whole = len(update.moved) + len(update.still)
        text = f"{len(update.moved):,} of {whole:,} tensors changed, by {_percent(update.relative)}"
        most = max(found.tensors, key=lambda one: one.relative or 0.0)
        if most.relative:
            text += f" in all; most for its size {most.name} ({_percent(most.relative)})"
        yield f"{text}."
    for label, names in (("added", update.added), ("removed", update.removed)):
        if names:
            shown = ", ".join(names[:SHOWN])
            more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
            yield f"Weights {label}, which no number covers: {shown}{more}."


def _score(found: WeightsReport) -> Iterator[str]:
    evidence = found.evidence
    if evidence.score is None or evidence.leading is None or evidence.among_benchmark is None:
        if found.update.moved:
            yield "No score: no dense matrix and no table of words moved enough to have one."
        return
    chance = evidence.among_benchmark
    yield (
        f"Score {evidence.score:.2f} (honest models: median 0, one in twenty above 1),"
        f" from {_MEANING[evidence.leading]}:"
        f" {chance.as_high} of {chance.honest} honest fine-tunes of the benchmark score as high,"
        f" p = {chance.value:.2g}."
    )


def _rates(found: WeightsReport) -> Iterator[str]:
    """How often a score that stands out errs, where this one does."""
    from cairn.analysis.chance import FLAGGED
    from cairn.analysis.honest_models import HELD_OUT

    chance = found.evidence.among_benchmark
    if chance is None:
        return
    honest = sum(rates.honest for rates in HELD_OUT.values())
    alarms = sum(rates.flagged_honest for rates in HELD_OUT.values())
    poisoned = sum(rates.poisoned for rates in HELD_OUT.values())
    hits = sum(rates.flagged_poisoned for rates in HELD_OUT.values())
    stands_out = chance.value <= FLAGGED
    yield (
        f"It {'stands out' if stands_out else 'does not stand out'} (p <= {FLAGGED})."
        f" Of small classifiers kept apart for testing, {alarms} of {honest} honest ones"
        f" and {hits} of {poisoned} with a working backdoor do. Of other models nothing is"
        " measured: this is at most a reason to look closer, never proof either way."
    )


def about_siblings(chance: "Chance | None", siblings: int) -> Iterator[str]:
    """Where the score stands among those of so many siblings; None: it cannot be said."""
    if chance is None:
        if not siblings:
            yield (
                "No siblings were given: for models unlike the benchmark's, honest fine-tunes of"
                " the same base, made alike, are the fairer comparison."
            )
        return
    least = 1 / (1 + chance.honest)
    text = (
        f"{chance.as_high} of {chance.honest} siblings score as high: p = {chance.value:.2g}"
        f" if those are honest"
    )
    if least > _SMALL_P:
        text += f" (so few can never say less than {least:.2g}; 19 are needed for {_SMALL_P})"
    yield f"{text}."


def _limits(found: WeightsReport) -> Iterator[str]:
    if found.looks_merged:
        yield (
            "The update is of low rank, as of a merged adapter: the benchmark has no such models,"
            " only siblings made the same way can be compared."
        )
    unknown = found.update.unknown
    if unknown:
        name, why = next(iter(unknown.items()))
        yield f"{len(unknown):,} tensors could not be compared: {name}: {why}."


def _percent(share: float) -> str:
    return f"{100 * share:.3g} %"
