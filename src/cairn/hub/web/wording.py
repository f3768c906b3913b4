"""How numbers, sizes, times and names are written for people, on every page the same way."""

import re
from datetime import UTC, datetime
from urllib.parse import quote

from markupsafe import Markup, escape

_CODE = re.compile(r"`([^`]+)`")
_BYTE_UNITS = ("B", "kB", "MB", "GB", "TB", "PB", "EB")
_COUNT_UNITS = ("", "K", "M", "B", "T")
_AGES = (
    (365 * 86400, "year"),
    (30 * 86400, "month"),
    (7 * 86400, "week"),
    (86400, "day"),
    (3600, "hour"),
    (60, "minute"),
)


def bytes_text(size_bytes: int) -> str:
    """`90868376` as `90.9 MB`: decimal units, three significant digits."""
    return _scaled(size_bytes, _BYTE_UNITS, " ")


def count_text(count: int) -> str:
    """`22713216` as `22.7M`, the way parameter counts are spoken."""
    return _scaled(count, _COUNT_UNITS, "")


def exact(count: int) -> str:
    """`22713216` as `22,713,216`."""
    return f"{count:,}"


def _scaled(number: int, units: tuple[str, ...], gap: str) -> str:
    value = float(number)
    for unit in units:
        # 999.5 would be written as 1000: the next unit says it better.
        if value < 999.5 or unit == units[-1]:
            digits = 0 if unit == units[0] or value >= 99.95 else 1
            return f"{value:.{digits}f}{gap}{unit}".rstrip() if unit else f"{value:.0f}"
        value /= 1000
    raise AssertionError("the last unit always returns")


def age_text(when: datetime, now: datetime) -> str:
    """`3 days ago`; a moment in the future or within the last minute is `just now`."""
    seconds = int((_aware(now) - _aware(when)).total_seconds())
    for length, unit in _AGES:
        if seconds >= length:
            count = seconds // length
            return f"{count} {unit}{'s' if count > 1 else ''} ago"
    return "just now"


def duration_text(seconds: float) -> str:
    """`30 days`, `36 hours`, `90 seconds`: in the largest unit of which it is a whole number."""
    for length, unit in ((86400, "day"), (3600, "hour"), (60, "minute")):
        if seconds >= length and seconds % length == 0:
            return plural(int(seconds // length), unit)
    return f"{seconds:,g} seconds"


def moment(when: datetime) -> str:
    """`2026-11-21 09:30 UTC`."""
    return f"{_aware(when).astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def _aware(when: datetime) -> datetime:
    return when if when.tzinfo else when.replace(tzinfo=UTC)


def shape_text(shape: tuple[int, ...] | list[int]) -> str:
    """Axes with multiplication signs between them; no axes is `scalar`."""
    return " \u00d7 ".join(str(n) for n in shape) if shape else "scalar"


def saving_text(logical_bytes: int, stored_bytes: int) -> str:
    """How much less is stored than was given: `38% less`; empty when nothing is saved."""
    if logical_bytes <= 0 or stored_bytes >= logical_bytes:
        return ""
    return f"{(1 - stored_bytes / logical_bytes) * 100:.0f}% less"


def plural(count: int, noun: str) -> str:
    """`1 file`, `2 files`, `3 repositories`, `4 days`."""
    if count == 1:
        return f"1 {noun}"
    many = f"{noun[:-1]}ies" if noun.endswith("y") and noun[-2] not in "aeiou" else f"{noun}s"
    return f"{count:,} {many}"


def segment(text: str) -> str:
    """One URL path segment: a slash in it becomes `%2F` (revisions such as `refs/pr/1`)."""
    return quote(text, safe="")


def path_url(path: str) -> str:
    """A path in a repo as URL path: slashes stay, everything else is quoted."""
    return quote(path, safe="/")


def dotted(name: str) -> Markup:
    """A tensor name that may break after dots, with everything but its last two parts dimmed."""
    parts = name.split(".")
    head, tail = parts[:-2], parts[-2:]
    dim = Markup(".<wbr>").join(head) + Markup(".<wbr>") if head else Markup("")
    bright = Markup(".<wbr>").join(tail)
    return Markup('<span class="dim">{}</span>{}').format(dim, bright) if head else escape(bright)


def coded(text: str) -> Markup:
    """Plain words in which what stands between backticks is code."""
    return Markup(_CODE.sub(r"<code>\1</code>", str(escape(text))))  # noqa: S704 - escaped before


def breakable(path: str) -> Markup:
    """A path that may break after slashes, dots, dashes and underscores."""
    out = Markup("")
    for character in path:
        out += escape(character)
        if character in "/._-":
            out += Markup("<wbr>")
    return out
