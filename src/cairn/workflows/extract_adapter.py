"""The verb that writes what fine-tuning changed as a LoRA adapter of a given rank."""

import json
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cairn.domain import DType
from cairn.errors import RequestError
from cairn.estimation.subject import is_embedding
from cairn.merging.low_rank import Extracted, nearest_pair
from cairn.workflows.computed_weights import FLOATS, Compute, Computed, Weights, new_tensor
from cairn.workflows.conv1d import conv1d_weights
from cairn.workflows.lora_files import CONFIG, PREFIX, named_as
from cairn.workflows.merge_card import Parents, card_of, noted, repo_name

MAX_RANK = 4096


@dataclass(frozen=True, slots=True)
class Kept:
    """How much of one weight's change the adapter has."""

    name: str
    energy_kept: float
    relative_error: float


@dataclass
class Report:
    """Filled while the adapter is written: what was kept of each matrix, what could not be."""

    kept: list[Kept] = field(default_factory=list)
    left_out: dict[str, float] = field(default_factory=dict)


def extracted(base: Weights, tuned: Weights, rank: int) -> tuple[Computed, Report]:
    """The adapter, computed matrix by matrix as it is written, and the report this fills.

    Matrices and kernels that did not change get no pair; changes of embeddings, norms and
    biases cannot be in a LoRA adapter, and are listed with their size over the base's; so are
    weights that only the tuned model has, with 1. Names are those of the base, whose body a head
    of the tuned model may put a prefix before.

    Raises:
        RequestError: the rank is out of range, the models are not alike, nothing changed, or
            a change is not finite.
    """
    if not 1 <= rank <= MAX_RANK:
        raise RequestError(f"rank {rank} is not in 1 to {MAX_RANK:,}")
    turned = conv1d_weights({name: named.tensor.shape for name, named in base.tensors.items()})
    report = Report()
    modules: list[str] = []
    tensors, computed = [], {}
    tuned = named_as(tuned, base)
    for name in base.tensors:
        if name not in tuned.tensors:
            if name not in base.floats_named:
                continue  # positions, which some releases of libraries write and others make anew
            raise RequestError(f"{tuned.label} lacks {name}, which {base.label} has")
        shape, theirs = base.tensors[name].tensor.shape, tuned.tensors[name].tensor.shape
        if shape != theirs:
            raise RequestError(f"{name} is {shape} in {base.label} and {theirs} in {tuned.label}")
        change = _relative_change(base, tuned, name)
        if not np.isfinite(change):
            raise RequestError(f"{name} holds NaN or infinity in {base.label} or {tuned.label}")
        if not change:
            continue
        if not name.endswith(".weight") or len(shape) not in (2, 4) or is_embedding(name):
            report.left_out[name] = change
            continue
        module = name.removesuffix(".weight")
        modules.append(module)
        made = _Pair(base, tuned, name, rank, report, is_transposed=name in turned)
        for tensor, compute in made.tensors(module):
            tensors.append(tensor)
            computed[tensor.name] = compute
    # Weights that the base lacks are no change of any: such as a new head.
    report.left_out.update({name: 1.0 for name in tuned.tensors if name not in base.tensors})
    if not modules:
        raise RequestError(f"no matrix of {tuned.label} differs from {base.label}")
    recipe = {"method": "extract", "base": base.label, "tuned": tuned.label, "rank": rank}
    smaller = _smaller_ranks(base, modules, rank)
    config = {
        "peft_type": "LORA",
        "r": rank,
        "lora_alpha": rank,
        "target_modules": modules,
        "base_model_name_or_path": repo_name(base.label) or base.label,
        "bias": "none",
        "fan_in_fan_out": any(f"{one}.weight" in turned for one in modules),
        "inference_mode": True,
        "lora_dropout": 0.0,
        "rank_pattern": smaller,
        "alpha_pattern": smaller,
    }
    texts = card_of(Parents((base.label,)), "adapter", recipe)
    texts[CONFIG] = json.dumps(config, indent=2) + "\n"
    return Computed(tensors, computed, noted(recipe), texts), report


def _smaller_ranks(base: Weights, modules: list[str], rank: int) -> dict[str, int]:
    """Of modules whose shorter side is below the rank."""
    found = {}
    for module in modules:
        shape = base.tensors[f"{module}.weight"].tensor.shape
        most = min(shape[0], int(np.prod(shape[1:])))
        if most < rank:
            found[module] = most
    return found


def _relative_change(base: Weights, tuned: Weights, name: str) -> float:
    """Norm of the change over that of the base; of whole numbers, 1 if they differ."""
    if base.tensors[name].tensor.dtype not in FLOATS:
        return float(not np.array_equal(base.array(name), tuned.array(name)))
    before, after = base.floats(name), tuned.floats(name)
    if np.array_equal(before, after, equal_nan=True):
        return 0.0  # masks hold infinity
    change = float(np.linalg.norm(after - before))
    return change / (float(np.linalg.norm(before)) or 1.0) if change else 0.0


class _Pair:
    """Both matrices of one weight, made by one decomposition when the first is asked for."""

    def __init__(
        self,
        base: Weights,
        tuned: Weights,
        name: str,
        rank: int,
        report: Report,
        *,
        is_transposed: bool,
    ) -> None:
        self._base, self._tuned, self._name = base, tuned, name
        self._rank, self._is_transposed, self._report = rank, is_transposed, report
        self._made: Extracted | None = None

    def tensors(self, module: str) -> list[tuple[Any, Compute]]:
        shape = self._base.tensors[self._name].tensor.shape
        if self._is_transposed:
            shape = shape[::-1]
        rank = min(self._rank, shape[0], int(np.prod(shape[1:])))
        ones = (1,) * (len(shape) - 2)
        down = new_tensor(f"{PREFIX}{module}.lora_A.weight", DType.F32, (rank, *shape[1:]))
        up = new_tensor(f"{PREFIX}{module}.lora_B.weight", DType.F32, (shape[0], rank, *ones))
        return [
            (down, partial(self._down, down.tensor.shape)),
            (up, partial(self._up, up.tensor.shape)),
        ]

    def _down(self, shape: tuple[int, ...]) -> NDArray[np.float32]:
        return self._pair().down.reshape(shape)

    def _up(self, shape: tuple[int, ...]) -> NDArray[np.float32]:
        up = self._pair().up.reshape(shape)
        self._made = None  # written last: names are in order
        return up

    def _pair(self) -> Extracted:
        if self._made is None:
            change = self._tuned.floats(self._name) - self._base.floats(self._name)
            flat = change.T if self._is_transposed else change.reshape(change.shape[0], -1)
            self._made = nearest_pair(np.ascontiguousarray(flat), self._rank)
            self._report.kept.append(
                Kept(self._name, self._made.energy_kept, self._made.relative_error)
            )
        return self._made
