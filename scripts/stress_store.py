"""Tries to make the store lose or mistake bytes: kill -9, failing system calls, flipped bits.

The work is on small families of checkpoints (series, fine-tunes, casts), so that most tensors
are kept as differences to others, whose blobs are dropped and collected meanwhile.

Exit status: 0 nothing was lost, wrong or badly reported; 1 something was: the round that shows
it is named, with how to run it again, and its store is left for inspection.
"""

import argparse
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from tests.store import ordeal
from tests.store.victims import Victims

LANES = 3  # one process that reads, two that put, drop, optimize and collect
KILLS_A_ROUND = LANES - 1
KINDS_OF_ROUND = ("failing", "failing", "flipped", "flipped", "concurrent")

console = Console(highlight=False, soft_wrap=True)


def main() -> int:
    options = read_options()
    counts: Counter[str] = Counter()
    start = time.monotonic()
    with ExitStack() as opened:
        lanes = [opened.enter_context(victims()) for _ in range(LANES)]
        folder = Path(tempfile.mkdtemp(prefix="cairn-stress-"))
        bars = Progress(
            TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
        )
        try:
            with bars:
                if options.replay:
                    kind, _, seed = options.replay.partition(":")
                    counts[one_round(kind, int(seed), folder, lanes)] += 1
                else:
                    kill(options, folder, lanes, counts, watched(bars, "kills", options.kills))
                    fail(options, folder, lanes, counts, watched(bars, "faults", options.faults))
        except (ordeal.OrdealError, AssertionError) as error:
            console.print(f"FAILED: {error}", style="red", markup=False)
            console.print(f"the store is in {folder}, the seed was {options.seed}")
            return 1
        folder.rmdir()
    console.print(summary(counts, time.monotonic() - start))
    return 0


def read_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="./scripts/stress_store", description=__doc__.partition("\n\n")[0]
    )
    parser.add_argument("--kills", type=int, default=1000, metavar="N")
    parser.add_argument("--faults", type=int, default=200, metavar="N")
    parser.add_argument("--seed", type=int, default=random.randrange(1_000_000), metavar="S")
    parser.add_argument(
        "--replay", metavar="KIND:SEED", help="one round of faults, as a failure names it"
    )
    return parser.parse_args()


@contextmanager
def victims() -> Iterator[Victims]:
    server = Victims("--warm")
    try:
        yield server
    finally:
        server.close()


def watched(bars: Progress, what: str, total: int) -> Callable[[int], None]:
    task = bars.add_task(what, total=total)
    return lambda done: bars.update(task, completed=done)


def kill(
    options: argparse.Namespace,
    folder: Path,
    lanes: list[Victims],
    counts: Counter[str],
    progress: Callable[[int], None],
) -> None:
    """Rounds on one store after the other until enough processes were killed at work."""
    number = 0
    while counts["kill -9"] < options.kills:
        root = folder / f"kills-{number // ordeal.ROUNDS_PER_STORE}"
        try:
            counts["kill -9"] += ordeal.kill_round(root, options.seed + number, lanes, number)
        except (ordeal.OrdealError, AssertionError) as error:
            raise ordeal.OrdealError(f"kill round {number} on {root.name}: {error}") from error
        number += 1
        if number % ordeal.ROUNDS_PER_STORE == 0:
            ordeal.remove(root)
        progress(counts["kill -9"])
    ordeal.remove(folder / f"kills-{number // ordeal.ROUNDS_PER_STORE}")


def fail(
    options: argparse.Namespace,
    folder: Path,
    lanes: list[Victims],
    counts: Counter[str],
    progress: Callable[[int], None],
) -> None:
    """Rounds of every kind until enough of them met a fault."""
    done = number = 0
    while done < options.faults:
        kind = KINDS_OF_ROUND[number % len(KINDS_OF_ROUND)]
        met = one_round(kind, options.seed * 1_000 + number, folder, lanes)
        counts[met] += 1
        done += met != ordeal.NO_FAULT
        number += 1
        progress(done)


def one_round(kind: str, seed: int, folder: Path, lanes: list[Victims]) -> str:
    root = folder / f"{kind}-{seed}"
    try:
        if kind == "concurrent":
            met = ordeal.concurrent_round(root, seed, lanes)
        else:
            met = {"failing": ordeal.failing_round, "flipped": ordeal.flipped_round}[kind](
                root, seed
            )
    except (ordeal.OrdealError, AssertionError) as error:
        again = f"./scripts/stress_store --replay {kind}:{seed}"
        raise ordeal.OrdealError(f"{error}\nagain: {again}") from error
    ordeal.remove(root)
    return met


def summary(counts: Counter[str], seconds: float) -> Table:
    table = Table("what happened", "times", title=f"nothing lost, nothing wrong, {seconds:.0f} s")
    for kind, count in sorted(counts.items(), key=lambda item: -item[1]):
        table.add_row(kind, f"{count:,}")
    return table


if __name__ == "__main__":
    sys.exit(main())
