"""The verb that merges siblings: models of the same architecture, weight by weight."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cairn.errors import RequestError
from cairn.merging.siblings import Recipe, merge
from cairn.workflows.computed_weights import FLOATS, Compute, Computed, Weights, copied
from cairn.workflows.merge_card import Parents, card_of, noted

_MOST_NAMED = 3
_COUNTED = "num_batches_tracked"  # of BatchNorm: it goes on counting, and computes nothing with it
_FEWEST_WORDS = 1000  # more rows than layers are wide in models with so few


def merged_models(models: Sequence[Weights], base: Weights | None, recipe: Recipe) -> Computed:
    """Names, types and order are those of the first model; sums are made in float32.

    Raises:
        RequestError: the models are fewer than two or not alike, the base is missing, or the
            numbers of weights and models differ.
    """
    if len(models) < 1 + (not recipe.method.needs_base):
        raise RequestError("merging takes two models or more")
    if recipe.method.needs_base and base is None:
        raise RequestError(f"{recipe.method.value} merges changes from a base: name it with --base")
    if len(recipe.weights) != len(models):
        raise RequestError(f"{len(recipe.weights)} weights for {len(models)} models")
    first = models[0]
    others = [*models[1:], *([base] if base is not None else [])]
    for other in others:
        _check_alike(first, other)
    computed: dict[str, Compute] = {}
    for name, named in first.tensors.items():
        if named.tensor.dtype in FLOATS:
            computed[name] = partial(_merged, models, base, recipe, name)
        else:
            computed[name] = partial(_same, models, name)
    told = {
        "method": recipe.method.value,
        "models": [model.label for model in models],
        "base": None if base is None else base.label,
        "weights": list(recipe.weights),
        "t": recipe.t,
        "density": recipe.density,
        "scale": recipe.scale,
        "seed": recipe.seed,
    }
    parents = Parents((*(m.label for m in models), *((base.label,) if base else ())))
    tensors = [copied(named) for named in first.tensors.values()]
    return Computed(tensors, computed, noted(told), card_of(parents, "merge", told))


def _merged(
    models: Sequence[Weights], base: Weights | None, recipe: Recipe, name: str
) -> NDArray[np.float32]:
    values = [model.floats(name) for model in models]
    start = base.floats(name) if base is not None and recipe.method.needs_base else None
    with np.errstate(invalid="ignore", over="ignore"):  # seen below
        merged = merge(recipe, name, values, start)
    del values, start
    return merged if np.isfinite(merged).all() else _not_finite(models, name)


def _not_finite(models: Sequence[Weights], name: str) -> NDArray[np.float32]:
    """Of what is no number: the weight itself where all have the same, such as a mask.

    Raises:
        RequestError: they have not, so one is broken, or the numbers became too large.
    """
    first = models[0].floats(name)
    if all(np.array_equal(first, other.floats(name), equal_nan=True) for other in models[1:]):
        return first
    broken = [one.label for one in models if not np.isfinite(one.floats(name)).all()]
    where = f" in {broken[0]}" if broken else " when it is merged with these weights"
    raise RequestError(f"{name} holds NaN or infinity{where}: nothing was merged")


def _same(models: Sequence[Weights], name: str) -> NDArray[Any]:
    """What is no float, such as positions, has to be the same in all; counts are of the first."""
    first = models[0].array(name)
    if name.endswith(_COUNTED):
        return first
    for model in models[1:]:
        if name in model.tensors and not np.array_equal(first, model.array(name)):
            raise RequestError(
                f"{name} holds {models[0].tensors[name].tensor.dtype.label}, which differ between"
                f" {models[0].label} and {model.label}: there is nothing between them"
            )
    return first


def _check_alike(first: Weights, other: Weights) -> None:
    missing = sorted(first.floats_named - other.tensors.keys())
    more = sorted(other.floats_named - first.tensors.keys())
    if missing or more:
        of, names = (other, missing) if missing else (first, more)
        raise RequestError(
            f"{first.label} and {other.label} are not alike: {of.label} lacks"
            f" {', '.join(names[:_MOST_NAMED])}"
            + (f" and {len(names) - _MOST_NAMED:,} more" if len(names) > _MOST_NAMED else "")
        )
    for name, named in first.tensors.items():
        if name not in other.tensors:
            continue  # positions, which some releases of libraries write and others make anew
        shape, theirs = named.tensor.shape, other.tensors[name].tensor.shape
        if shape != theirs:
            hint = ": their vocabularies differ" if _is_vocabulary(shape, theirs) else ""
            raise RequestError(
                f"{name} is {shape} in {first.label} and {theirs} in {other.label}{hint}"
            )


def _is_vocabulary(shape: tuple[int, ...], theirs: tuple[int, ...]) -> bool:
    return (
        len(shape) == len(theirs) == 2 and shape[1] == theirs[1] and max(shape[0], theirs[0]) > 999
    )
