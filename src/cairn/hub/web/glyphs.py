"""The cairn every repo has: a small stack of stones drawn from its name and its size.

The number of stones grows with the size (one per factor of ten or so), their widths, tilt
and tint come from a hash of the repo's id: the same repo always looks the same, and a list
of repos can be told apart at a glance.
"""

import hashlib
from functools import lru_cache

from markupsafe import Markup

from cairn.hub.web.svg import tag

TINTS = 6  # classes .stone-0 to .stone-5 in cairn.css
BASE_Y = 45.0
MIN_STONES, MAX_STONES = 2, 5
_KILOBYTE = 1000


def stones_for(size_bytes: int) -> int:
    """Two stones for nothing much, five from a gigabyte up."""
    count = MIN_STONES
    threshold = _KILOBYTE
    while count < MAX_STONES and size_bytes >= threshold * _KILOBYTE:
        threshold *= 30
        count += 1
    return count


@lru_cache(maxsize=2048)
def cairn_glyph(identity: str, stones: int, css_class: str = "glyph") -> Markup:
    """A 48 by 48 SVG of `stones` stones for this identity; decorative, hidden from readers."""
    seed = hashlib.sha256(identity.encode()).digest()
    heights = _heights(stones, seed)
    y = BASE_Y
    width = 34.0 + seed[0] % 8
    drawn = []
    for index, height in enumerate(heights):
        byte, other = seed[3 * index + 1], seed[3 * index + 2]
        y -= height
        centre = 24 + (byte % 7 - 3) * (0.35 if index == 0 else 0.75)
        tilt = (other % 9 - 4) * (0.6 if index == 0 else 1.4)
        drawn.append(_stone(centre, y, width, height, tilt, seed[3 * index + 3] % TINTS))
        width = max(8.0, width * (0.66 + (byte >> 4) / 90))
    return tag("svg", *drawn, viewBox="0 0 48 48", **{"class": css_class, "aria-hidden": "true"})


def _heights(stones: int, seed: bytes) -> list[float]:
    shares = [1.25 - 0.14 * i + (seed[20 + i] % 5) * 0.07 for i in range(stones)]
    room = 20.0 + 4.6 * stones
    return [share * room / sum(shares) for share in shares]


def _stone(centre: float, y: float, width: float, height: float, tilt: float, tint: int) -> Markup:
    """A pebble: flat below, rounder above, drawn with four curves."""
    left, right, bottom = centre - width / 2, centre + width / 2, y + height - 0.5
    belly = y + height * 0.58
    shoulder = f"{left:.1f} {y + height * 0.12:.1f} {centre - width * 0.28:.1f} {y:.1f}"
    path = (
        f"M{left:.1f} {belly:.1f}"
        f"C{shoulder} {centre:.1f} {y:.1f}"
        f"S{right:.1f} {y + height * 0.18:.1f} {right:.1f} {belly:.1f}"
        f"S{centre + width * 0.3:.1f} {bottom:.1f} {centre:.1f} {bottom:.1f}"
        f"S{left:.1f} {bottom:.1f} {left:.1f} {belly:.1f}Z"
    )
    turn = f"rotate({tilt:.1f} {centre:.1f} {y + height / 2:.1f})"
    return tag("path", d=path, transform=turn, **{"class": f"stone-{tint}"})
