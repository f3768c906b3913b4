"""Receiver operating characteristics: area, its confidence interval, hits at few false alarms."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

RESAMPLED = 2000
FALSE_ALARMS = 0.05


@dataclass(frozen=True, slots=True)
class Roc:
    """`low` and `high`: 95 % of a bootstrap over models, honest and poisoned ones apart."""

    area: float
    low: float
    high: float
    hits: float

    @staticmethod
    def of(honest: list[float], poisoned: list[float]) -> "Roc":
        """Higher numbers speak for poison; `hits` is the share above 95 % of the honest ones."""
        h, p = np.array(honest), np.array(poisoned)
        rng = np.random.default_rng(0)
        areas = [
            area(h[rng.integers(0, h.size, h.size)], p[rng.integers(0, p.size, p.size)])
            for _ in range(RESAMPLED)
        ]
        low, high = np.quantile(areas, (0.025, 0.975))
        limit = np.quantile(h, 1 - FALSE_ALARMS, method="higher")
        return Roc(area(h, p), float(low), float(high), float(np.mean(p > limit)))


def area(honest: NDArray[np.float64], poisoned: NDArray[np.float64]) -> float:
    """The chance that a poisoned model's number is higher than an honest one's; ties count half."""
    above = poisoned[:, None] - honest[None]  # (poisoned, honest)
    return float(np.mean(above > 0) + np.mean(above == 0) / 2)


def curve(honest: list[float], poisoned: list[float]) -> list[tuple[float, float]]:
    """Share of honest and of poisoned models at or above each number, from none to all."""
    limits = sorted({*honest, *poisoned}, reverse=True)
    h, p = np.array(honest), np.array(poisoned)
    return [(0.0, 0.0), *((float(np.mean(h >= x)), float(np.mean(p >= x))) for x in limits)]


def drawing(title: str, curves: dict[str, list[tuple[float, float]]]) -> str:
    """The curves as SVG: false alarms to the right, hits upwards."""
    side, left, top, colours = 260, 44, 34, ("#2563eb", "#d97706", "#64748b", "#059669")
    parts = [
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 520 330" font-family="sans-serif"'
        ' font-size="12"><rect width="520" height="330" fill="white"/>',
        f'<text x="{left}" y="20" font-size="14">{title}</text>',
        f'<rect x="{left}" y="{top}" width="{side}" height="{side}" fill="none" stroke="#94a3b8"/>',
        f'<line x1="{left}" y1="{top + side}" x2="{left + side}" y2="{top}" stroke="#cbd5e1"'
        ' stroke-dasharray="4"/>',
        f'<text x="{left}" y="{top + side + 16}">0</text>'
        f'<text x="{left + side - 8}" y="{top + side + 16}">1</text>'
        f'<text x="{left + 60}" y="{top + side + 30}">honest models flagged</text>'
        f'<text x="14" y="{top + side - 50}" transform="rotate(-90 14 {top + side - 50})">'
        "poisoned models flagged</text>",
    ]
    for at, (label, points) in enumerate(curves.items()):
        path = " ".join(f"{left + x * side:.1f},{top + (1 - y) * side:.1f}" for x, y in points)
        colour, y = colours[at % len(colours)], top + 16 + 18 * at
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        parts.append(f'<text x="{left + side + 12}" y="{y}" fill="{colour}">{label}</text>')
    return "\n".join([*parts, "</svg>"]) + "\n"
