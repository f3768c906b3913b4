"""What is odd about weights, asked for, found in the background and kept under both trees.

What is kept names no repo, and says nothing of siblings: whoever shows it knows what its reader may
know. `SCHEMA` rises when the form changes or numbers come out differently.
"""

import json
from collections.abc import Callable, Iterator
from math import isfinite
from typing import Any

from cairn.catalog import Asked, Trees
from cairn.errors import IntegrityError, NotFoundError, RequestError, UntrustedDataError
from cairn.workflows.asked_reading import Report, ask
from cairn.workflows.house import House
from cairn.workflows.inspect import read_tree

SCHEMA = 1
_NAMES = ("base", "model", "siblings")


def asked(house: House, trees: Trees) -> Asked | None:
    """What is known of how the second tree's weights came from the first's, after asking for it.

    None where too many wait already.
    """
    return ask(house.catalog.weight_reports, trees, SCHEMA, 0)


def known(house: House, trees: Trees) -> dict[str, Any] | None:
    """The report that is kept; None where there is none. Nothing is asked for."""
    found = house.catalog.weight_reports.get(trees, SCHEMA)
    return None if found is None or found.content is None else report_of(found.content)


def report_of(content: str) -> dict[str, Any]:
    """The report as `describe_weights` has it, without names and siblings."""
    told: dict[str, Any] = json.loads(content)
    return told


def any_pending(house: House) -> bool:
    """Whether any report waits."""
    return house.catalog.weight_reports.due(SCHEMA) is not None


def judge_pending(house: House, wait: Callable[[], object]) -> Iterator[Trees]:
    """Make the reports that wait, the oldest first, and give the trees of each.

    `wait` is called between tensors and may take its time: meanwhile nothing is read.
    """
    kept = house.catalog.weight_reports
    while (trees := kept.due(SCHEMA)) is not None:
        try:
            found = _judged(house, trees, wait)
        except (IntegrityError, NotFoundError, RequestError, UntrustedDataError) as error:
            kept.fail(trees, str(error))
        else:
            kept.finish(trees, json.dumps(found, allow_nan=False))
        yield trees


def _judged(house: House, trees: Trees, wait: Callable[[], object]) -> dict[str, Any]:
    # Imported here: who only shows reports needs no arrays.
    from cairn.workflows.weights import bytes_to_read, judge
    from cairn.workflows.weights_description import describe_weights
    from cairn.workflows.weights_summary import own_summary

    base, model = read_tree(house, trees[0], "the base"), read_tree(house, trees[1], "the model")
    report = Report(house.catalog.weight_reports, trees, bytes_to_read(base, model, ()), wait)
    found = judge(base, model, progress=report)
    told = describe_weights(found) | {"summary": own_summary(found)}
    plain = _finite({key: value for key, value in told.items() if key not in _NAMES})
    assert isinstance(plain, dict)
    return plain


def _finite(value: Any) -> Any:
    """The same with None for numbers that JSON has no word for."""
    if isinstance(value, dict):
        return {key: _finite(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_finite(one) for one in value]
    return None if isinstance(value, float) and not isfinite(value) else value
