"""The change of every tensor of a checkpoint from its base, streamed."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING

from cairn.domain import Role
from cairn.errors import BlobNotFoundError, IntegrityError, UntrustedDataError
from cairn.workflows.paired_blocks import paired_blocks
from cairn.workflows.readable import ReadableCheckpoint
from cairn.workflows.same_content import with_same_content
from cairn.workflows.tensor_pairs import Pair, Placed, pair_tensors

if TYPE_CHECKING:
    from cairn.analysis.update_profile import Update

Progress = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class ModelUpdate:
    """How a model's weights moved, by the names they have in the base.

    `still` names weights with equal values; `unknown` maps those that could not be compared to the
    reason. `added` and `removed` are weights of one side only, which no statistic covers.
    """

    name: str
    moved: Mapping[str, "Update"]
    still: tuple[str, ...]
    unknown: Mapping[str, str]
    added: tuple[str, ...]
    removed: tuple[str, ...]

    @property
    def relative(self) -> float:
        """The norm of all changes over the norm of all weights before that moved; 0 if that was."""
        change = sum(one.norm_change**2 for one in self.moved.values()) ** 0.5
        before = sum(one.norm_before**2 for one in self.moved.values()) ** 0.5
        return float(change / before) if before else 0.0


def weight_pairs(base: ReadableCheckpoint, model: ReadableCheckpoint) -> tuple[Pair, ...]:
    """The weights that both have, by name; what the store keeps once is marked as the same."""
    pairing = pair_tensors(base, model, by_content=False)
    weights = [pair for pair in pairing.pairs if pair.before.tensor.role is Role.WEIGHTS]
    return tuple(with_same_content(base, model, weights))


def model_update(
    base: ReadableCheckpoint, model: ReadableCheckpoint, progress: Progress | None = None
) -> ModelUpdate:
    """Read both sides once, one tensor after the other.

    `progress` gets the bytes of both sides newly done. Nothing in the bytes raises.
    """
    moved: dict[str, Update] = {}
    still, unknown = [], {}
    pairing = pair_tensors(base, model, by_content=False)
    pairs = weight_pairs(base, model)
    most = base.max_value_bytes + model.max_value_bytes
    so_far = accumulate(pair.bytes_to_compare for pair in pairs)
    for pair, reached in zip(pairs, so_far, strict=True):
        name = pair.before.name
        if pair.is_same:
            still.append(name)
            continue
        if reached > most:
            unknown[name] = "values of far more bytes than the files have"
            continue
        try:
            found = _update(base, model, pair)
        except (UntrustedDataError, IntegrityError, BlobNotFoundError) as error:
            found = str(error)
        if isinstance(found, str):
            unknown[name] = found
        elif found.changed or found.left_out:
            moved[name] = found
        else:
            still.append(name)
        if progress is not None:
            progress(pair.bytes_to_compare)
    return ModelUpdate(
        name=model.checkpoint.name,
        moved=moved,
        still=tuple(still),
        unknown=unknown,
        added=_weights(pairing.added),
        removed=_weights(pairing.removed),
    )


def _update(base: ReadableCheckpoint, model: ReadableCheckpoint, pair: Pair) -> "Update | str":
    """What moved, or the reason why that cannot be told."""
    # Imported here: who only lists checkpoints needs no compiler.
    from cairn.analysis.floats import floats
    from cairn.analysis.update_profile import UpdateProfile, has_update

    a, b = pair.before.tensor, pair.after.tensor
    if not has_update(a.dtype, b.dtype):
        return f"{a.dtype.label} and {b.dtype.label} are not compared by value"
    if a.shape[1:] != b.shape[1:] or len(a.shape) != len(b.shape):
        return f"its shape is {list(b.shape)}, that of the base {list(a.shape)}"
    # A vocabulary that grew: the rows that both have.
    shape = (min(a.shape[0], b.shape[0]), *a.shape[1:]) if a.shape else ()
    profile = UpdateProfile(shape)
    for before, after, elements in paired_blocks(base, model, pair, shape):
        profile.add(floats(before, a.dtype, elements), floats(after, b.dtype, elements))
    return profile.result()


def _weights(side: tuple[Placed, ...]) -> tuple[str, ...]:
    return tuple(one.name for one in side if one.tensor.role is Role.WEIGHTS)
