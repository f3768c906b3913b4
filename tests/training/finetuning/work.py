"""Fine-tunes as the command does, in this process."""

from pathlib import Path
from typing import Any

from cairn.domain.finetuning import FineTuning, Method, TaskName
from cairn.training.finetuning import Progress, Watcher
from cairn.workflows.finetune import Place, Work, finetune


def done(
    base: Path, data: Path, out: Path, *, stop_after: int | None = None, **recipe: Any
) -> tuple[dict[str, Any], list[Progress]]:
    """What came out, and what was told on the way; stopped after a step if one is named."""
    told: list[Progress] = []
    recipe = {"task": TaskName.TEXT_CLASSIFICATION, "method": Method.LORA, **recipe}
    work = Work(
        FineTuning(str(base), str(data), **recipe),
        Place(base, str(base)),
        Place(data, str(data)),
        None,
        out,
        device="cpu",
    )
    watcher = Watcher(told.append, lambda: len(told) + 1 == stop_after)
    return finetune(work, watcher), told
