"""Which learning rates learn: what the usual ones of `cairn finetune` were chosen by.

    python benchmarks/learning_rates.py [--model DIR] [--steps 60] [--seeds 2] [--only NAME ...]

The real MiniLM on the sentences of `benchmarks/finetune.py`, and tiny models of four other families
(made here, with random weights) on data that the tests make. Each method with a row of rates, all
else as the command has it; what is shown is what was measured on held-out rows after the last step,
the mean over the seeds and the worst of them.
"""

import argparse
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(1, str(Path(__file__).parents[1]))
import finetune as sentiment
import machine
import torch

from cairn.domain.finetuning import FineTuning, Method, TaskName
from cairn.training.finetuning import Watcher
from cairn.workflows.finetune import finetune
from cairn.workflows.finetune_work import Place, Work
from tests.training.finetuning import bases, toys


@dataclass(frozen=True)
class Trial:
    """A base and data, the measure of its task, and the rates to try by method."""

    task: TaskName
    base: Callable[[Path], Path]
    data: Callable[[Path], Path]
    file: str
    metric: str
    rates: Mapping[Method, Sequence[float]]
    steps: int | None = None


TINY = {
    Method.LORA: (5e-4, 2e-3, 5e-3, 1e-2, 3e-2),
    Method.FULL: (5e-5, 1e-3, 3e-3, 1e-2, 3e-2),
}
TRIALS = {
    "MiniLM": Trial(
        TaskName.TEXT_CLASSIFICATION,
        lambda _: sentiment.packaged(),
        lambda path: sentiment.write(path, 800),
        "rows.csv",
        "accuracy",
        {
            Method.LORA: (5e-4, 1e-3, 2e-3, 3e-3, 5e-3),
            Method.FULL: (5e-5, 1e-4, 2e-4),
            Method.LAST_LAYER: (1e-3, 1e-2),
        },
    ),
    "BERT": Trial(
        TaskName.TEXT_CLASSIFICATION,
        bases.bert,
        lambda path: toys.reviews(path, 400),
        "rows.csv",
        "accuracy",
        TINY,
        200,
    ),
    "GPT-2": Trial(
        TaskName.TEXT_GENERATION, bases.gpt2, toys.stories, "rows.jsonl", "perplexity", TINY, 100
    ),
    "ResNet": Trial(
        TaskName.IMAGE_CLASSIFICATION, bases.resnet, toys.colours, "files", "accuracy", TINY, 60
    ),
    "T5": Trial(
        TaskName.TEXT2TEXT_GENERATION,
        bases.t5,
        toys.opposites,
        "rows.jsonl",
        "exact_match",
        {Method.FULL: TINY[Method.FULL]},
        200,
    ),
}


def measured(trial: Trial, folder: Path, steps: int, **settings: Any) -> float:
    """The task's measure after one training."""
    base, data = folder / "base", folder / trial.file
    recipe = FineTuning(
        str(base),
        str(data),
        trial.task,
        steps=trial.steps or steps,
        evaluate_every=trial.steps or steps,
        held_out=0.2,
        **settings,
    )
    with tempfile.TemporaryDirectory(prefix="cairn-rate.") as out:
        place, rows = Place(base, str(base)), Place(data, str(data))
        work = Work(recipe, place, rows, None, Path(out) / "out", device="cpu")
        return float(finetune(work, Watcher())["measured"][f"eval_{trial.metric}"])


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", type=Path, help="a folder with MiniLM (default: its package)")
    parser.add_argument("--steps", type=int, default=60, help="of MiniLM, 8 rows each")
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--only", nargs="*", choices=TRIALS, default=list(TRIALS))
    asked = parser.parse_args()
    torch.set_num_threads(1)
    print(machine.describe())
    print("| model | method | rate | measure | mean | worst |")
    print("|---|---|---|---|---|---|")
    for name in asked.only:
        trial = TRIALS[name]
        with tempfile.TemporaryDirectory(prefix="cairn-rates.") as temporary:
            folder = Path(temporary)
            made = trial.base(folder / "base")
            if asked.model and name == "MiniLM":
                made = asked.model
            if made != folder / "base":
                (folder / "base").symlink_to(made.resolve())
            trial.data(folder / trial.file)
            for method, rates in trial.rates.items():
                for rate in rates:
                    settings = {"method": method, "learning_rate": rate}
                    found = [
                        measured(trial, folder, asked.steps, seed=seed, **settings)
                        for seed in range(asked.seeds)
                    ]
                    worst = max(found) if trial.metric in ("perplexity",) else min(found)
                    print(
                        f"| {name} | `{method}` | {rate:g} | {trial.metric} |"
                        f" {fmean(found):.3f} | {worst:.3f} |",
                        flush=True,
                    )


if __name__ == "__main__":
    main()
