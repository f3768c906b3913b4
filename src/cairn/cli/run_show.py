"""How `cairn run show`, `list` and `compare` put runs on a terminal."""

from collections.abc import Mapping, Sequence
from shlex import join
from typing import TYPE_CHECKING

from cairn.cli.console import human_bytes, visible
from cairn.cli.curves import Curve, plot

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

    from cairn.domain import RunRecord
    from cairn.errors import CairnError
    from cairn.workflows.kept_runs import KeptRun
    from cairn.workflows.run_comparison import RunComparison
    from cairn.workflows.run_conditions import Changed

_COLUMNS, _ROWS = 60, 8
_MAX_CURVES = 6
_COLOURS = {"running": "cyan", "ended": "green", "interrupted": "yellow", "failed": "red"}


def listing(found: "Sequence[tuple[str, KeptRun | CairnError]]") -> "RenderableType":
    """One line for each run."""
    from rich.table import Table

    from cairn.errors import CairnError

    table = Table(header_style="bold", box=None, pad_edge=False)
    table.add_column("run", overflow="fold")
    table.add_column("status")
    for heading in ("step", "kept", "size", "resume"):
        table.add_column(heading, justify="right")
    table.add_column("started")
    table.add_column("newest values", overflow="fold")
    for name, run in found:
        if isinstance(run, CairnError):
            table.add_row(visible(name), "[red]unreadable[/red]", *[""] * 5, visible(str(run)))
            continue
        point = run.resume_point
        values = [f"{metric} {curve[-1][1]:.4g}" for metric, curve in run.curves.items()]
        table.add_row(
            visible(name),
            status(run),
            _step(run.last_step),
            str(len(run.steps)),
            human_bytes(sum(one.size_bytes for one in run.steps)),
            _step(point.step if point else None),
            (run.record.started if run.record else "")[:16].replace("T", " "),
            visible(", ".join(values[:4])),
        )
    return table


def status(run: "KeptRun") -> str:
    """A word in its colour."""
    if run.status is None:
        return "no record"
    word = run.status.value
    told = " when it was copied" if word == "running" and run.is_live is None else ""
    return f"[{_COLOURS[word]}]{word}[/{_COLOURS[word]}]{told}"


def print_run(console: "Console", run: "KeptRun", changed: "Sequence[Changed] | None") -> None:
    """All of a run."""
    console.print(f"[bold]{visible(run.name)}[/bold] {status(run)}")
    if run.error:
        console.print(f"  {visible(run.error)}")
    if run.record is not None:
        for name, value in _facts(run.record):
            console.print(f"  {name + ':':<10}{visible(value)}")
    console.print(_steps_table(run))
    point = run.resume_point
    if point is not None:
        console.print(f"resume goes on after step [bold]{point.step}[/bold]")
    elif run.steps:
        console.print("[yellow]no checkpoint can be resumed[/yellow]")
    _print_curves(console, {run.name: run.curves})
    if changed:
        console.print("[yellow]not exact here and now[/yellow], because")
        for one in changed:
            console.print(f"  {visible(str(one))}")
    elif changed is None:
        console.print("not begun here by you: what is otherwise here and now was not looked for")
    else:
        console.print("program, data, machine and libraries are as they were")


def _facts(record: "RunRecord") -> list[tuple[str, str]]:
    recipe, told = record.recipe, []
    started = "python" if recipe.kind.value == "script" else "cairn"
    if recipe.arguments:
        told.append(("started", f"{started} {join(recipe.arguments)}"))
    told.append(("seed", "none is known" if record.seed is None else str(record.seed)))
    if record.base is not None:
        revision = f"@{record.base.revision}" if record.base.revision else ""
        told.append(("base", f"{record.base.where}{revision}"))
    told += [("data", f"{one.where} {one.digest or 'without a digest'}") for one in record.data]
    for one in record.sessions:
        begun = "anew" if one.from_step is None else f"after step {one.from_step}"
        where = ", ".join(
            f"{name} {one.environment[name]}"
            for name in ("torch", "cpu", "devices", "threads")
            if one.environment.get(name)
        )
        told.append(("session", f"{one.started[:16].replace('T', ' ')}, {begun}: {where}"))
    code = record.sessions[-1].environment.get("code")
    return [*told, ("code", str(code))] if code else told


def _steps_table(run: "KeptRun") -> "RenderableType":
    from rich.table import Table

    table = Table(header_style="bold", box=None, pad_edge=False)
    for heading in ("step", "size"):
        table.add_column(heading, justify="right")
    for heading in ("saved", "metrics", ""):
        table.add_column(heading, overflow="fold")
    for one in run.steps:
        metrics = ", ".join(f"{name} {value:.4g}" for name, value in (one.metrics or {}).items())
        trouble = f"[red]{visible(one.trouble)}[/red]" if one.trouble else ""
        saved = one.saved_at[:16].replace("T", " ")
        table.add_row(str(one.step), human_bytes(one.size_bytes), saved, visible(metrics), trouble)
    return table


def print_comparison(console: "Console", found: "RunComparison") -> None:
    """What differs, from where, and the curves on one scale."""
    from rich.table import Table

    names = [run.name for run in found.runs]
    table = Table(header_style="bold", box=None, pad_edge=False)
    for heading in ("", *names):
        table.add_column(visible(heading), overflow="fold")
    for row in found.unlike:
        table.add_row(visible(row.name), *(visible(value) for value in row.values))
    console.print(table if found.unlike else "made from the same, in the same environment")
    for name, partings in found.partings.items():
        for other, one in zip(names[1:], partings, strict=True):
            if not one.common:
                told = "has no step in common with"
            elif one.first_step is None:
                told = f"is the same in {one.common:,} steps as in"
            else:
                apart = "" if one.largest is None else f", by up to {one.largest:.3g},"
                told = f"differs from step {one.first_step}{apart} from"
            console.print(f"{visible(name)} of {visible(other)} {told} {visible(names[0])}")
    shared = {
        run.name: {n: c for n, c in run.curves.items() if n in found.partings} for run in found.runs
    }
    _print_curves(console, shared)


def _print_curves(console: "Console", runs: Mapping[str, Mapping[str, Curve]]) -> None:
    """Each metric of all runs, on one scale."""
    metrics = list(dict.fromkeys(name for curves in runs.values() for name in curves))
    for metric in metrics[:_MAX_CURVES]:
        frame = [point for curves in runs.values() for point in curves.get(metric, ())]
        values = {value for _, value in frame}
        if len(values) == 1:
            console.print(f"[bold]{visible(metric)}[/bold] is {values.pop():.6g} throughout")
            continue
        for name, curves in runs.items():
            lines = plot(curves.get(metric, ()), frame, _COLUMNS, _ROWS)
            if not lines:
                console.print(f"{visible(metric)} has no numbers")
                continue
            of = f" of {visible(name)}" if len(runs) > 1 else ""
            console.print(f"[bold]{visible(metric)}[/bold]{of}")
            for line in lines:
                console.print(visible(line))
    if len(metrics) > _MAX_CURVES:
        console.print(f"{len(metrics) - _MAX_CURVES} more metrics: --json has them")


def _step(step: int | None) -> str:
    return "" if step is None else f"{step:,}"
