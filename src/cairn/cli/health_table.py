"""How `cairn inspect --stats` shows the statistics of tensors in a terminal."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from cairn.cli.console import visible

if TYPE_CHECKING:
    from rich.console import RenderableType

    from cairn.domain import Histogram
    from cairn.workflows.health import TensorHealth

_LEVELS = "▁▂▃▄▅▆▇█"
_SPARKS = 20
_MAX_REMARKS = 40
_COLUMNS: "dict[str, Literal['left', 'right']]" = {
    **dict.fromkeys(("min", "max", "mean", "std", "zeros", "distinct", "rank"), "right"),
    "histogram": "left",
    "remarks": "left",
}
_WIDE = 140
_NARROW = ("min", "max", "std", "zeros")
"""What a terminal of fewer columns than `_WIDE` shows; a line below the table names the others."""
_MIN_NAME = 20


def health_table(
    rows: "Sequence[TensorHealth]", *, several_files: bool, columns: int
) -> "RenderableType":
    """One line per tensor: numbers, histogram, what stands out; as much as the columns hold."""
    from rich.table import Table

    shown = [name for name in _COLUMNS if columns >= _WIDE or name in _NARROW]
    table = Table(header_style="bold", box=None, pad_edge=False)
    table.add_column("tensor", overflow="fold", min_width=_MIN_NAME)  # cut short, it names nothing
    table.add_column("dtype", no_wrap=True)
    table.add_column("shape", overflow="fold")
    for name in shown:
        table.add_column(name, justify=_COLUMNS[name], no_wrap=name != "remarks")
    if several_files:
        table.add_column("file", overflow="fold")
    for health in rows:
        shape = " x ".join(str(axis) for axis in health.tensor.shape) or "scalar"
        numbers = dict(zip(_COLUMNS, _numbers(health), strict=True))
        cells = [visible(health.tensor.name), health.tensor.dtype.label, shape]
        cells += (numbers[name] for name in shown)
        table.add_row(*cells, *([visible(health.path)] if several_files else []))
    return table


def hidden_columns(columns: int) -> str:
    """A line that names what `health_table` leaves out at this width; empty where it shows all."""
    hidden = [name for name in _COLUMNS if columns < _WIDE and name not in _NARROW]
    if not hidden:
        return ""
    return (
        f"{len(hidden)} columns are hidden at this width: {', '.join(hidden)};"
        f" {_WIDE} columns or --json show them"
    )


def health_remarks(measured: "Sequence[TensorHealth]") -> list[str]:
    """The summary, and a line for every tensor with trouble, up to a screenful."""
    from cairn.workflows.health import summarise, trouble_text

    summary = summarise(measured)
    counts = [f"{kind.value} in {count:,}" for kind, count in summary.troubles.items()]
    unread = f", {summary.not_read:,} not read" if summary.not_read else ""
    found = ", ".join(counts) or ("nothing stands out" if summary.measured else "nothing known")
    lines = [f"[bold]health[/bold] {summary.measured:,} tensors measured{unread}: {found}"]
    troubled = [health for health in measured if health.troubles]
    for health in troubled[:_MAX_REMARKS]:
        assert health.statistics is not None
        told = ", ".join(trouble_text(kind, health.statistics) for kind in health.troubles)
        lines.append(f"[yellow]health[/yellow] {visible(health.tensor.name)}: {told}")
    if len(troubled) > _MAX_REMARKS:
        lines.append(f"{len(troubled) - _MAX_REMARKS:,} more tensors stand out: --json lists them")
    lines.extend(
        f"[yellow]unread[/yellow] {visible(health.tensor.name)}: {visible(health.not_read)}"
        for health in measured
        if health.not_read
    )
    return lines


def sparkline(histogram: "Histogram | None") -> str:
    """The histogram in one line of block characters; a blank is an empty bin."""
    if histogram is None:
        return ""
    counts = histogram.counts
    step = max(1, len(counts) // _SPARKS)
    bars = [sum(counts[at : at + step]) for at in range(0, len(counts), step)]
    top = max(bars, default=0)
    return "".join(
        _LEVELS[min(len(_LEVELS) - 1, bar * len(_LEVELS) // top)] if bar else " " for bar in bars
    )


def _numbers(health: "TensorHealth") -> list[str]:
    found = health.statistics
    if found is None:
        return [""] * 8 + ["not read"]
    rank = "" if found.spectrum is None else f"{found.spectrum.effective_rank:.1f}"
    distinct = f"{found.distinct:,}" if found.distinct_is_exact else f"> {found.distinct:,}"
    return [
        *map(_number, (found.minimum, found.maximum, found.mean, found.std)),
        f"{found.zeros / found.count:.1%}" if found.count else "",
        distinct,
        rank,
        sparkline(found.histogram),
        ", ".join(kind.value for kind in health.troubles),
    ]


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.4g}"
