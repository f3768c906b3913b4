"""The files of a training run, made without training."""

import json
import math
from typing import Any

from cairn.domain import (
    BaseModel,
    Digest,
    MetricPoint,
    RecipeKind,
    Retention,
    RunRecord,
    RunStatus,
    TrainingData,
    TrainingRecipe,
    TrainingSession,
)
from cairn.formats.training_metrics import point_line
from cairn.formats.training_run import run_bytes
from tests.hub.web.homes import safetensors

ENVIRONMENT = {"torch": "2.13.0", "cpu": "a processor", "threads": 2, "processes": 1, "code": None}


def run_record(**about: Any) -> RunRecord:
    arguments = ("train.py", "--learning-rate", "1e-3")
    digest = Digest.sha256("0" * 64)
    recipe = TrainingRecipe(RecipeKind.SCRIPT, "train.py", digest, arguments)
    told: dict[str, Any] = {
        "id": "0123456789abcdef",
        "name": "a run",
        "status": RunStatus.ENDED,
        "changed": "2026-11-27T20:00:00+00:00",
        "sessions": (
            TrainingSession("2026-11-27T18:00:00+00:00", None, recipe, ENVIRONMENT),
            TrainingSession("2026-11-27T19:00:00+00:00", 20, recipe, ENVIRONMENT),
        ),
        "seed": 7,
        "base": BaseModel("org/base", "v1"),
        "data": (TrainingData("train.csv", "sha256:" + "1" * 64),),
        "keep": Retention(last=2, best=1),
    }
    return RunRecord(**{**told, **about})


def run_files(
    *, steps: int = 60, every: int = 20, nan_at: int | None = None, **about: Any
) -> dict[str, bytes]:
    """Record, curves and checkpoints; the loss at one step may be no number."""
    files = {"run.json": run_bytes(run_record(**about))}
    lines = []
    for step in range(1, steps + 1):
        loss = math.nan if step == nan_at else 2 / math.sqrt(step) + 0.05 * math.sin(step)
        values = {"loss": loss, "eval/accuracy": 1 - 0.8 / math.sqrt(step), "rate": 1e-3}
        lines.append(point_line(MetricPoint(step, step * 0.5, values, step / 20)))
        if step % every == 0:
            files |= checkpoint(step, {"loss": 2 / math.sqrt(step)})
    return {**files, "metrics.jsonl": b"".join(lines)}


def checkpoint(step: int, metrics: dict[str, float]) -> dict[str, bytes]:
    weights = safetensors({"weight": ("F32", (2,), bytes(8))})
    said = {
        "format": "cairn-training",
        "version": 1,
        "step": step,
        "saved_at": "2026-11-27T19:30:00+00:00",
        "metrics": metrics,
        "files": {"model.safetensors": {"bytes": len(weights), "digest": "blake3:" + "0" * 64}},
        "parts": {},
    }
    folder = f"step-{step}"
    return {
        f"{folder}/model.safetensors": weights,
        f"{folder}/checkpoint.json": json.dumps(said).encode(),
    }
