"""Tensor health as pages show it: a small histogram and numbers per tensor, and a summary."""

from collections.abc import Iterable
from dataclasses import dataclass

from markupsafe import Markup, escape

from cairn.domain import Histogram, Trouble
from cairn.hub.web.svg import tag
from cairn.workflows.health import TensorHealth, summarise, trouble_text
from cairn.workflows.stored_health import KnownHealth

MAX_TROUBLED = 12  # named in the summary; the table marks all
_WIDTH, _HEIGHT = 80, 22

_CSS = {
    Trouble.NAN: "bad",
    Trouble.INFINITE: "bad",
    Trouble.LARGE: "bad",
    Trouble.DEAD_ROWS: "warn",
    Trouble.ALL_ZERO: "warn",
    Trouble.CONSTANT: "warn",
}


@dataclass(frozen=True, slots=True)
class HealthCell:
    """What the table says of one tensor's values; `note` says why there is nothing else."""

    histogram: Markup | None = None
    numbers: tuple[tuple[str, str], ...] = (("", ""),) * 4
    marks: tuple[tuple[str, str], ...] = ()
    note: str = "not measured"


@dataclass(frozen=True, slots=True)
class HealthView:
    """Cells by file and tensor name, and what is said above the table."""

    cells: dict[tuple[str, str], HealthCell]
    measured: int
    not_read: int
    troubles: tuple[tuple[str, str], ...]
    troubled: tuple[tuple[str, str], ...]
    more_troubled: int
    waiting: tuple[str, ...]
    spread: tuple[str, ...]

    def cell(self, file: str, name: str) -> HealthCell:
        """The cell of a tensor; one that says so where nothing is known."""
        note = "spread over files" if file in self.spread else "not measured"
        return self.cells.get((file, name), HealthCell(note=note))


def health_view(known: KnownHealth, shown: Iterable[tuple[str, str]]) -> HealthView:
    """Arrange what is known; cells only for the tensors `shown`, by file and name."""
    tensors = known.tensors
    summary = summarise(tensors.values())
    troubled = [health for health in tensors.values() if health.troubles]
    return HealthView(
        cells={key: _cell(tensors[key]) for key in shown if key in tensors},
        measured=summary.measured,
        not_read=summary.not_read,
        troubles=tuple(
            (_CSS[kind], f"{kind.value} in {count:,}") for kind, count in summary.troubles.items()
        ),
        troubled=tuple((health.tensor.name, _told(health)) for health in troubled[:MAX_TROUBLED]),
        more_troubled=max(0, len(troubled) - MAX_TROUBLED),
        waiting=known.waiting,
        spread=known.spread,
    )


def histogram_svg(histogram: Histogram) -> Markup:
    """Columns from low to high; the table's numbers say the rest, so readers get one line."""
    top = max(histogram.counts, default=0) or 1
    slot = _WIDTH / max(1, len(histogram.counts))
    # One path instead of forty rectangles: pages have hundreds of these.
    columns = "".join(
        f"M{at * slot:.5g} {_HEIGHT}V{_HEIGHT - max(1.0, _HEIGHT * count / top):.3g}"
        f"h{slot * 0.9:.3g}V{_HEIGHT}z"
        for at, count in enumerate(histogram.counts)
        if count
    )
    label = f"Histogram from {_number(histogram.low)} to {_number(histogram.high)}"
    shape = {"viewBox": f"0 0 {_WIDTH} {_HEIGHT}", "class": "histogram"}
    title = tag("title", escape(label))
    return tag(
        "svg", title, tag("path", d=columns), **shape, role="img", preserveAspectRatio="none"
    )


def _told(health: TensorHealth) -> str:
    assert health.statistics is not None
    return ", ".join(trouble_text(kind, health.statistics) for kind in health.troubles)


def _cell(health: TensorHealth) -> HealthCell:
    found = health.statistics
    if found is None:
        return HealthCell(note=f"not read: {health.not_read}")
    values = (found.minimum, found.maximum, found.mean, found.std)
    return HealthCell(
        histogram=None if found.histogram is None else histogram_svg(found.histogram),
        numbers=tuple((_number(value), "" if value is None else repr(value)) for value in values),
        marks=tuple((_CSS[kind], trouble_text(kind, found)) for kind in health.troubles),
        note="",
    )


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.4g}".replace("-", "\N{MINUS SIGN}")
