"""Bytes and durations as people write them on a command line: `5GB`, `2GiB`, `30m`."""

import re

import click

from cairn.errors import RequestError

_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([kMGTP]?i?)B?", re.IGNORECASE)
_POWERS = "kmgtp"
_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*([smhd]?)", re.IGNORECASE)
_SECONDS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}


class ByteCount(click.ParamType[int]):
    """A size of one byte or more."""

    name = "size"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> int:
        """See `click.ParamType.convert`."""
        del param, ctx
        return value if isinstance(value, int) else parse_size(str(value))


class Duration(click.ParamType[float]):
    """Seconds, above 0."""

    name = "duration"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """See `click.ParamType.convert`."""
        del param, ctx
        return value if isinstance(value, float) else parse_duration(str(value))


def parse_size(text: str) -> int:
    """`5GB`, `500MB`, `2GiB` or a number of bytes.

    Raises:
        RequestError: it is none of these, or nothing.
    """
    found = _SIZE.fullmatch(text.strip())
    if found is None:
        raise RequestError(f"{text!r} is not a size; write 5GB, 500MB or 2GiB")
    unit = found[2].lower()
    power = _POWERS.index(unit[0]) + 1 if unit[:1] in tuple(_POWERS) else 0
    size = int(float(found[1]) * (1024 if unit.endswith("i") else 1000) ** power)
    if size < 1:
        raise RequestError(f"{text!r} is less than one byte")
    return size


def parse_duration(text: str) -> float:
    """Seconds: `90`, `90s`, `30m`, `1.5h`, `2d`.

    Raises:
        RequestError: it is none of these, or nothing.
    """
    found = _DURATION.fullmatch(text.strip())
    if found is None or not float(found[1]):
        raise RequestError(f"{text!r} is not a duration; write 90s, 30m or 1.5h")
    return float(found[1]) * _SECONDS[found[2].lower()]
