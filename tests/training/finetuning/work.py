"""Fine-tunes as the command does, in this process."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from safetensors.torch import load_file

from cairn.domain.finetuning import FineTuning, Method, TaskName
from cairn.training.finetuning import Progress, Watcher
from cairn.workflows.finetune import finetune
from cairn.workflows.finetune_work import Place, Work


def done(
    base: Path,
    data: Path,
    out: Path,
    *,
    eval_data: Path | None = None,
    stop_after: int | None = None,
    at: Callable[[int], None] = lambda _: None,
    said: Callable[[str], None] = lambda _: None,
    **recipe: Any,
) -> tuple[dict[str, Any], list[Progress]]:
    """What came out, and what was told on the way; stopped after a step if one is named.

    `at` is called with the number of each step, `said` with what is told before training.
    """
    told: list[Progress] = []

    def tell(progress: Progress) -> None:
        told.append(progress)
        at(progress.step)

    recipe = {"task": TaskName.TEXT_CLASSIFICATION, "method": Method.LORA, **recipe}
    work = Work(
        FineTuning(str(base), str(data), **recipe),
        Place(base, str(base)),
        Place(data, str(data)),
        None if eval_data is None else Place(eval_data, str(eval_data)),
        out,
        device="cpu",
    )
    watcher = Watcher(tell, lambda: len(told) + 1 == stop_after, said)
    return finetune(work, watcher), told


def weights(out: Path) -> dict[str, tuple[str, bytes]]:
    """Type and bytes of every tensor that came out, by file and name.

    Heads of files have what libraries say beside it in any order.
    """
    files = [path for path in out.rglob("*.safetensors") if path.relative_to(out).parts[0] != "run"]
    return {
        f"{path.relative_to(out).as_posix()}: {name}": (str(tensor.dtype), tensor.numpy().tobytes())
        for path in files
        for name, tensor in load_file(path).items()
    }
