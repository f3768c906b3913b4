"""Classes that rows name: which there are, in which order, and which of them a base knows."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from cairn.errors import RequestError
from cairn.training.rows import Row, naming_row

ONE_OF_SEVERAL = {"problem_type": "single_label_classification"}
"""For a configuration: a base may have learnt several labels at once, or numbers."""

_FEW = 10  # rows in which every class may be there once
MAX_CLASSES = 1000
"""More are numbers or texts that a row says, not classes."""


def class_names(
    rows: Iterable[tuple[str, Row]],
    values_of: Callable[[Row], Iterable[Any]],
    known: Mapping[str, int],
    column: str,
) -> list[str]:
    """Names of the classes in the order of their numbers; a row may have several, or none.

    Those of the base where it knows them all, so that its head may stay; else whole numbers by
    size, and other names by the alphabet.

    Raises:
        RequestError: there is one only, there are too many, or one for each row.
    """
    found: Counter[str] = Counter()
    for name, row in rows:
        with naming_row(name):
            found.update(class_name(value, column) for value in values_of(row))
        if len(found) > MAX_CLASSES:
            raise RequestError(f"{column!r} has over {MAX_CLASSES} values, and is no class")
    if not found:
        raise RequestError(f"{column!r} has no value in any row: nothing to learn")
    if len(found) < 2:
        raise RequestError(f"{column!r} has one value only, {min(found)!r}: nothing to tell apart")
    if len(found) > _FEW and max(found.values()) == 1:
        raise RequestError(f"{column!r} has another value in every row, and is no class")
    if found.keys() <= set(known):
        return sorted(known, key=known.__getitem__)
    if all(name.lstrip("-").isdecimal() for name in found):
        return sorted(found, key=int)
    return sorted(found)


def class_name(value: Any, column: str) -> str:
    """A label as text: numbers and texts of CSV and JSON agree.

    Raises:
        RequestError: it is none.
    """
    if value is None or isinstance(value, float | list | dict) or value == "":
        raise RequestError(f"{column!r} is {value!r} in a row: a class is a text or whole number")
    return str(value)


def class_number(numbers: Mapping[str, int], value: Any, column: str) -> int:
    """The number of a label.

    Raises:
        RequestError: it is none.
    """
    return numbers[class_name(value, column)]


def as_labels(names: list[str]) -> dict[str, Any]:
    """What a configuration of transformers says of classes, and that a head may be another."""
    return {
        "num_labels": len(names),
        "id2label": dict(enumerate(names)),
        "label2id": {name: number for number, name in enumerate(names)},
        "ignore_mismatched_sizes": True,  # another number of classes: a new head
    }
