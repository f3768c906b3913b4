"""What saving costs a training loop: the pause for each save, and the whole with and without.

    python benchmarks/saving.py [--mb 512] [--rounds 5] [--folder DIR] [--rows 256]

A model of square matrices under AdamW: the state is three times its weights. Rounds are
interleaved: each does every contender once, and the best counts, of wall time and of CPU time of
the thread that trains; on a busy machine only the second is the work's own. `torch.save` is
measured with fsync, as the others are, and without. For the whole, blocks of ten steps alternate:
one with a save in the background at its start, one without; the median of their ratios counts.
1 MB is 10^6 bytes.
"""

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))
import machine
import torch
from torch import nn

from cairn.domain import Retention
from cairn.training import Run, save

WIDTH = 1024
Cost = tuple[float, float]
STEPS = 10  # of a block


class Loop:
    """A model, its optimizer, and steps on the same batch."""

    def __init__(self, state_bytes: int, rows: int) -> None:
        layers = max(1, round(state_bytes / (12 * WIDTH * WIDTH)))
        self.model = nn.Sequential(*(nn.Linear(WIDTH, WIDTH, bias=False) for _ in range(layers)))
        self.optimizer = torch.optim.AdamW(self.model.parameters(), lr=1e-6)
        self.batch = torch.randn(rows, WIDTH)
        self.step()

    @property
    def parts(self) -> dict[str, Any]:
        return {"model": self.model, "optimizer": self.optimizer}

    @property
    def state_bytes(self) -> int:
        return 3 * sum(parameter.nbytes for parameter in self.model.parameters())

    def step(self) -> None:
        self.model(self.batch).square().mean().backward()
        self.optimizer.step()
        self.optimizer.zero_grad()


def with_torch(loop: Loop, path: Path) -> None:
    torch.save({name: part.state_dict() for name, part in loop.parts.items()}, path)


def durable_with_torch(loop: Loop, path: Path) -> None:
    with_torch(loop, path)
    with path.open("rb") as file:
        os.fsync(file.fileno())


def timed(action: Callable[[], Any]) -> Cost:
    wall, processor = time.perf_counter(), time.thread_time()
    action()
    return time.perf_counter() - wall, time.thread_time() - processor


def pauses(loop: Loop, folder: Path, rounds: int) -> None:
    """Seconds that the loop stands still for one save."""
    keep = Retention(last=1)
    with Run(folder / "background", keep=keep, **loop.parts) as run:
        run.save(0)  # takes its memory
        run.wait()

        def background(step: int) -> Cost:
            pause = timed(lambda: run.save(step))
            run.wait()
            return pause

        contenders: dict[str, Callable[[int], Cost]] = {
            "torch.save": lambda _: timed(lambda: with_torch(loop, folder / "t.pt")),
            "torch.save, fsync": lambda _: timed(lambda: durable_with_torch(loop, folder / "t.pt")),
            "cairn.training.save": lambda _: timed(lambda: save(folder / "s", 1, **loop.parts)),
            "Run.save": background,
        }
        best = dict.fromkeys(contenders, (float("inf"), float("inf")))
        for step in range(1, rounds + 1):
            for name, once in contenders.items():
                cost = once(step)
                best[name] = min(best[name][0], cost[0]), min(best[name][1], cost[1])
    wall, processor = best["torch.save"]
    print("\n| one save | wall s | of torch.save | CPU s of the loop's thread | of torch.save |")
    print("|---|---|---|---|---|")
    for name, (seconds, busy) in best.items():
        shares = seconds / wall, busy / processor
        print(f"| {name} | {seconds:.3f} | {shares[0]:.2f} | {busy:.3f} | {shares[1]:.2f} |")


def whole(loop: Loop, folder: Path, rounds: int) -> None:
    """Ten steps with a save against ten without, in wall and CPU seconds."""
    walls, processors, plain = [], [], []
    with Run(folder / "whole", keep=Retention(last=1), **loop.parts) as run:
        run.save(0)
        run.wait()

        def block(*, number: int | None) -> tuple[float, float]:
            wall, processor = time.perf_counter(), time.process_time()
            if number is not None:
                run.save(number)
            for _ in range(STEPS):
                loop.step()
            run.wait()  # what is left of the writing counts too
            return time.perf_counter() - wall, time.process_time() - processor

        for number in range(1, rounds + 1):
            without, with_save = block(number=None), block(number=number)
            plain.append(without[0])
            walls.append(with_save[0] / without[0])
            processors.append(with_save[1] / without[1])
    print(f"\nten steps: {min(plain):.2f} s; with a save in the background")
    print(f"- wall {statistics.median(walls):.3f} times (rounds: {shown(walls)})")
    print(f"- CPU  {statistics.median(processors):.3f} times (rounds: {shown(processors)})")


def shown(ratios: list[float]) -> str:
    return " ".join(f"{ratio:.3f}" for ratio in ratios)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--mb", type=int, default=512)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--rows", type=int, default=256)
    parser.add_argument("--folder", type=Path, default=None)
    chosen = parser.parse_args()
    loop = Loop(chosen.mb * 1_000_000, chosen.rows)
    print(machine.describe(), f"torch {torch.__version__}, {torch.get_num_threads()} threads")
    print(f"state {loop.state_bytes / 1e6:.0f} MB, load {os.getloadavg()[0]:.1f}")
    with tempfile.TemporaryDirectory(dir=chosen.folder) as folder:
        pauses(loop, Path(folder), chosen.rounds)
        whole(loop, Path(folder), chosen.rounds)


if __name__ == "__main__":
    main()
