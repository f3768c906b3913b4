"""The verb diff: what changed between two checkpoints, in tensors, settings and training."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from cairn.domain import Checkpoint, Scalar
from cairn.workflows.readable import ReadableCheckpoint
from cairn.workflows.same_content import with_same_content
from cairn.workflows.setting_changes import (
    SETTING_FILES,
    TOKENIZERS,
    FileChange,
    SettingChange,
    TokenizerChange,
    file_changes,
    setting_changes,
    tokenizer_changes,
)
from cairn.workflows.tensor_changes import (
    TensorChange,
    Verdict,
    compare_headers,
    compare_values,
)
from cairn.workflows.tensor_pairs import Pair, Pairing, Placed, pair_tensors

UNCHANGED = frozenset((Verdict.EQUAL,))
_COMPARED_FILES = frozenset((*SETTING_FILES, *TOKENIZERS))


@dataclass(frozen=True, slots=True)
class Difference:
    """Everything that differs. `values_compared` False: only headers and small files were read.

    `training` maps keys of the training progress and of the files' metadata to what they were and
    are. `unread` maps files of either side that could not be read to the reason.
    """

    before: Checkpoint
    after: Checkpoint
    tensors: tuple[TensorChange, ...]
    removed: tuple[Placed, ...]
    added: tuple[Placed, ...]
    wrapper: str
    settings: tuple[SettingChange, ...]
    tokenizers: tuple[TokenizerChange, ...]
    files: tuple[FileChange, ...]
    training: dict[str, tuple[Scalar, Scalar]]
    unread: dict[str, str]
    notes: tuple[str, ...]
    values_compared: bool

    @property
    def changed(self) -> tuple[TensorChange, ...]:
        """The tensors on both sides that are not simply equal."""
        return tuple(c for c in self.tensors if c.verdict not in UNCHANGED or self._moved(c))

    def _moved(self, change: TensorChange) -> bool:
        """Whether it goes by another name, and not only because of the wrapper all have."""
        return change.pair.is_renamed and not self.wrapper

    @property
    def is_same(self) -> bool:
        """Whether nothing differs and everything was compared."""
        return not (
            self.changed
            or self.wrapper
            or self.removed
            or self.added
            or self.settings
            or self.tokenizers
            or self.files
            or self.training
            or self.unread
        )


def pairing_of(
    before: ReadableCheckpoint,
    after: ReadableCheckpoint,
    *,
    values: bool = True,
    wanted: Callable[[str], bool] = lambda _: True,
) -> Pairing:
    """The tensors to compare; `wanted` chooses them by the name they have on either side.

    Pairs whose bytes the store keeps once are marked: nothing of them is read.
    """
    found = pair_tensors(before, after, by_content=values)

    def keeps(pair: Pair) -> bool:
        return wanted(pair.before.name) or wanted(pair.after.name)

    return Pairing(
        pairs=with_same_content(before, after, filter(keeps, found.pairs)),
        removed=tuple(one for one in found.removed if wanted(one.name)),
        added=tuple(one for one in found.added if wanted(one.name)),
        wrapper=found.wrapper,
    )


def bytes_to_compare(pairing: Pairing) -> int:
    """Bytes that comparing values will go through, of both sides."""
    return sum(pair.bytes_to_compare for pair in pairing.pairs)


def compare(
    before: ReadableCheckpoint,
    after: ReadableCheckpoint,
    pairing: Pairing,
    *,
    values: bool = True,
    progress: Callable[[int], None] | None = None,
) -> Difference:
    """Compare two checkpoints; `values` False leaves the tensors' values unread.

    Nothing in the bytes raises: what cannot be read is in `unread` or says so by itself.
    """
    if values:
        tensors = compare_values(before, after, pairing.pairs, progress)
    else:
        tensors = compare_headers(pairing.pairs)
    return difference_of(before, after, pairing, tensors, values_compared=values)


def difference_of(
    before: ReadableCheckpoint,
    after: ReadableCheckpoint,
    pairing: Pairing,
    tensors: Iterable[TensorChange],
    *,
    values_compared: bool,
) -> Difference:
    """The whole difference, where what became of the paired tensors is known."""
    settings, setting_notes = setting_changes(before.files, after.files)
    tokenizers, tokenizer_notes = tokenizer_changes(before.files, after.files)
    return Difference(
        before=before.checkpoint,
        after=after.checkpoint,
        tensors=tuple(tensors),
        removed=pairing.removed,
        added=pairing.added,
        wrapper=pairing.wrapper,
        settings=tuple(settings),
        tokenizers=tuple(tokenizers),
        files=tuple(_other_files(before, after)),
        training=_training(before.checkpoint, after.checkpoint),
        unread=_unread(before.checkpoint, after.checkpoint),
        notes=(*setting_notes, *tokenizer_notes),
        values_compared=values_compared,
    )


def _other_files(before: ReadableCheckpoint, after: ReadableCheckpoint) -> list[FileChange]:
    """Files that hold no tensors and are no settings, where both sides are more than one file."""
    known = {*before.checkpoint.layouts, *after.checkpoint.layouts}
    known |= {*before.checkpoint.unread, *after.checkpoint.unread}
    for side in (before, after):
        for assembly in side.checkpoint.assemblies:
            known |= assembly.parts
        for path in side.files:
            on_both = path in before.files and path in after.files
            if on_both and path.rpartition("/")[2] in _COMPARED_FILES:
                known.add(path)
    if any(len(side.files) == 1 and side.checkpoint.layouts for side in (before, after)):
        return []
    return file_changes(before.files, after.files, frozenset(known))


def _training(before: Checkpoint, after: Checkpoint) -> dict[str, tuple[Scalar, Scalar]]:
    left, right = _facts(before), _facts(after)
    return {
        key: (left.get(key), right.get(key))
        for key in sorted({*left, *right})
        if left.get(key) != right.get(key)
    }


def _facts(checkpoint: Checkpoint) -> dict[str, Scalar]:
    """Progress and the files' own metadata, by key; the file's name does not matter."""
    found = dict(checkpoint.training)
    for layout in checkpoint.layouts.values():
        for key, value in layout.metadata.items():
            if (layout.format, key) != ("safetensors", "format"):  # which framework, not how far
                found.setdefault(key, value)
    return found


def _unread(before: Checkpoint, after: Checkpoint) -> dict[str, str]:
    sides = (("before", before), ("after", after))
    return {
        f"{label}: {path}": reason
        for label, checkpoint in sides
        for path, reason in checkpoint.unread.items()
    }
