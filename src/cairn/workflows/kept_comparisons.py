"""Comparisons too long for a request: asked for, done in the background, kept under both trees.

What is kept is what became of each pair of tensors; the rest of a difference is read again from
headers and small files. `SCHEMA` rises when the form changes or numbers come out differently.
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import asdict
from typing import Any

from cairn.catalog import Asked, Trees
from cairn.domain import Comparison, RankEstimate
from cairn.errors import IntegrityError, MalformedError, NotFoundError, RequestError
from cairn.workflows.asked_reading import Report, ask
from cairn.workflows.diff import (
    Difference,
    bytes_to_compare,
    compare,
    difference_of,
    pairing_of,
)
from cairn.workflows.house import House
from cairn.workflows.inspect import read_tree
from cairn.workflows.readable import ReadableCheckpoint
from cairn.workflows.tensor_changes import TensorChange, Verdict
from cairn.workflows.tensor_pairs import Pair, Pairing, named_sides

SCHEMA = 1


def asked(house: House, trees: Trees, total_bytes: int) -> Asked | None:
    """What is known of a comparison, after asking for it; None where too many wait already."""
    return ask(house.catalog.comparisons, trees, SCHEMA, total_bytes)


def any_pending(house: House) -> bool:
    """Whether any comparison waits."""
    return house.catalog.comparisons.due(SCHEMA) is not None


def compare_pending(house: House, wait: Callable[[], object]) -> Iterator[Trees]:
    """Do the comparisons that wait, the oldest first, and give the trees of each.

    `wait` is called between tensors and may take its time: meanwhile nothing is read.
    """
    kept = house.catalog.comparisons
    while (trees := kept.due(SCHEMA)) is not None:
        try:
            found = _compared(house, trees, wait)
        except (IntegrityError, NotFoundError, RequestError) as error:
            kept.fail(trees, str(error))
        else:
            kept.finish(trees, json.dumps(plain_changes(found)))
        yield trees


def _compared(house: House, trees: Trees, wait: Callable[[], object]) -> Difference:
    before, after = (read_tree(house, tree) for tree in trees)
    pairing = pairing_of(before, after)
    report = Report(house.catalog.comparisons, trees, bytes_to_compare(pairing), wait)
    return compare(before, after, pairing, progress=report)


# --- the form that is kept -----------------------------------------------------------------


def plain_changes(found: Difference) -> dict[str, Any]:
    """What became of the tensors, by the names they are paired by."""
    return {
        "wrapper": found.wrapper,
        "pairs": [
            [
                change.pair.before.name,
                change.pair.after.name,
                change.verdict.value,
                None if change.comparison is None else asdict(change.comparison),
                change.why,
            ]
            for change in found.tensors
        ],
    }


def kept_difference(
    before: ReadableCheckpoint, after: ReadableCheckpoint, content: str
) -> Difference:
    """The whole difference from what `plain_changes` kept of it.

    Raises:
        MalformedError: it is of another form, or of other checkpoints.
    """
    left, right = named_sides(before.checkpoint, after.checkpoint)
    try:
        told = json.loads(content)
        changes = [
            TensorChange(
                Pair(left.pop(name), right.pop(now)), Verdict(verdict), _comparison(values), why
            )
            for name, now, verdict, values, why in told["pairs"]
        ]
        wrapper = told["wrapper"]
    except (KeyError, TypeError, ValueError) as error:
        raise MalformedError(f"a kept comparison of another form: {error!r}") from error
    pairs = tuple(change.pair for change in changes)
    pairing = Pairing(pairs, tuple(left.values()), tuple(right.values()), wrapper)
    return difference_of(before, after, pairing, changes, values_compared=True)


def _comparison(values: dict[str, Any] | None) -> Comparison | None:
    if values is None:
        return None
    rank = values["rank"]
    return Comparison(**{**values, "rank": None if rank is None else RankEstimate(**rank)})
