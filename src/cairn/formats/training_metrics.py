"""`metrics.jsonl`: what a training run measured, one line for each time it was told.

Its keys are listed in docs/formats/cairn-training.md.
"""

import json
import math
import sys
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from cairn.domain import MetricPoint, Source
from cairn.errors import LimitError, MalformedError, RequestError
from cairn.formats.limits import MAX_METRICS_LINE_BYTES
from cairn.formats.strict_json import MisstatedError, parse_json, value_of

METRICS = "metrics.jsonl"
_BLOCK_BYTES = 1 << 20
_ODD = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}


def point_line(point: MetricPoint) -> bytes:
    """The line of a point, with its end."""
    said: dict[str, Any] = {"step": point.step, "seconds": round(point.seconds, 3)}
    if point.epoch is not None:
        said["epoch"] = point.epoch
    said["values"] = {name: _said_number(value) for name, value in point.values.items()}
    return json.dumps(said, separators=(",", ":"), allow_nan=False).encode() + b"\n"


def _said_number(value: float) -> float | str:
    if math.isfinite(value):
        return value
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


def read_points(source: Source) -> Iterator[MetricPoint]:
    """The points of a file, in its order; a last line without an end is being written.

    Raises:
        MalformedError, LimitError: a line is none.
    """
    for _, point in read_placed_points(source):
        yield point


def read_placed_points(source: Source) -> Iterator[tuple[int, MetricPoint]]:
    """Every point with the offset behind its line; errors as `read_points`."""
    end = 0
    for number, line in enumerate(_lines(source), 1):
        end += len(line) + 1
        where = f"{source.name}, line {number}"
        yield end, _point(parse_json(line, where, what=METRICS), where)


def _lines(source: Source) -> Iterator[bytes]:
    begun = b""
    for at in range(0, source.size_bytes, _BLOCK_BYTES):
        size = min(_BLOCK_BYTES, source.size_bytes - at)
        *lines, begun = (begun + bytes(source.read_at(at, size))).split(b"\n")
        yield from lines
        if len(begun) > MAX_METRICS_LINE_BYTES:
            raise LimitError(
                f"a line has more than {MAX_METRICS_LINE_BYTES:,} bytes", source=source.name
            )


def _point(said: Any, where: str) -> MetricPoint:
    try:
        if not isinstance(said, dict):
            raise MisstatedError("a point")
        values = value_of(said, "values", dict)
        return MetricPoint(
            value_of(said, "step", int),
            value_of(said, "seconds", float, int),
            {sys.intern(name): _number(values, name) for name in values},
            value_of(said, "epoch", float, int) if "epoch" in said else None,
        )
    except KeyError as error:
        raise MalformedError(f"{METRICS} lacks {error}", source=where) from None
    except (MisstatedError, RequestError) as error:
        raise MalformedError(f"{METRICS} misstates {error}", source=where) from None


def _number(said: Mapping[str, Any], name: str) -> float:
    value = said[name]
    if isinstance(value, str) and value in _ODD:
        return _ODD[value]
    if type(value) not in (int, float):
        raise MisstatedError(repr(name[:200]))
    number: float = value
    return number


def up_to(points: Iterable[MetricPoint], names: int, values: int) -> Iterator[MetricPoint]:
    """The points as they come, as long as they have no more names and values in all than these.

    Raises:
        LimitError: they have more.
    """
    seen: set[str] = set()
    room = values
    for point in points:
        seen.update(point.values)
        room -= len(point.values)
        if len(seen) > names or room < 0:
            raise LimitError(f"{METRICS} has more than {names:,} names or {values:,} values")
        yield point


def curves(points: Iterable[MetricPoint]) -> dict[str, list[tuple[int, float]]]:
    """Step and value of every metric, by name in order of appearance; of a step the last counts."""
    found: dict[str, dict[int, float]] = {}
    for point in points:
        for name, value in point.values.items():
            found.setdefault(name, {})[point.step] = value
    return {name: sorted(values.items()) for name, values in found.items()}
