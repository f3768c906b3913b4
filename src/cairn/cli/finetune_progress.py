"""How `cairn finetune` shows what goes on and what came out: a bar, or lines of JSON."""

import json
import math
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cairn.cli.console import err, visible
from cairn.cli.console import out as console_out

if TYPE_CHECKING:
    from cairn.training.finetuning import Progress


def is_first() -> bool:
    """Whether this process speaks for all that a launcher started."""
    return os.environ.get("RANK", "0") == "0"


@contextmanager
def as_lines() -> "Iterator[Callable[[Progress], None]]":
    """Each step as a line of JSON."""
    from dataclasses import asdict

    yield lambda progress: print_line({"event": "step", **asdict(progress)})


def said_as_line(words: str) -> None:
    """What was chosen or noticed before training, as a line of JSON."""
    print_line({"event": "said", "words": words})


def said_as_words(words: str) -> None:
    """The same for people."""
    err().print(visible(words))


def print_line(value: Mapping[str, Any]) -> None:
    """A line of JSON, written at once."""
    sys.stdout.write(json.dumps(_finite(value), ensure_ascii=False) + "\n")
    sys.stdout.flush()


def _finite(value: Any) -> Any:
    """JSON has no NaN: a number that is none is null."""
    if isinstance(value, Mapping):
        return {key: _finite(one) for key, one in value.items()}
    return None if isinstance(value, float) and not math.isfinite(value) else value


@contextmanager
def as_bar(folder: Path) -> "Iterator[Callable[[Progress], None]]":
    """A bar with loss and time left on a terminal, and a line for each evaluation anywhere."""
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        TextColumn,
        TimeRemainingColumn,
    )
    from rich.progress import Progress as Bar

    console = err()
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("loss {task.fields[loss]}"),
    )
    with Bar(*columns, console=console, disable=not console.is_terminal) as bar:
        task = bar.add_task(visible(folder.name), total=None, loss="")

        def told(progress: "Progress") -> None:
            bar.update(
                task,
                total=progress.total,
                completed=progress.step,
                loss="" if math.isnan(progress.loss) else f"{progress.loss:.4f}",
            )
            if progress.measured:
                said = {"loss": progress.loss, **progress.measured}
                numbers = (f"{n} {v:.4f}" for n, v in said.items() if not math.isnan(v))
                bar.console.print(f"step {progress.step}: {', '.join(numbers)}")

        yield told


def print_results(results: Mapping[str, Any], folder: Path) -> None:
    """What came out, or how to go on with what was stopped."""
    console = console_out()
    place = visible(os.fspath(folder))
    if results["is_interrupted"]:
        err().print(
            f"stopped at step {results['step']} of {results['total']};"
            f" the same command goes on from {place}"
        )
        return
    numbers = ", ".join(
        f"{n.removeprefix('eval_')} {v:.4f}" for n, v in results["measured"].items()
    )
    console.print(
        f"{place}: step {results['chosen_step']} of {results['total']},"
        f" {results['trained_parameters']:,} of {results['parameters']:,} parameters trained"
    )
    if numbers:
        console.print(f"in {results['held_out']:,} {results['measured_in']}: {numbers}")
