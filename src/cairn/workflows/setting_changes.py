"""What changed in the small files beside tensors: settings by key, tokenizers by token."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cairn.domain import Scalar
from cairn.errors import UntrustedDataError
from cairn.formats import Files
from cairn.formats.limits import MAX_CONFIG_BYTES
from cairn.formats.naming import printable
from cairn.formats.strict_json import read_json

SETTING_FILES = (
    *("config.json", "generation_config.json", "adapter_config.json", "model_index.json"),
    *("scheduler_config.json", "preprocessor_config.json", "tokenizer_config.json"),
    *("special_tokens_map.json", "processor_config.json", "modules.json"),
)
TOKENIZERS = ("tokenizer.json", "vocab.txt", "vocab.json")
MAX_TOKENIZER_BYTES = 64 << 20
"""tokenizer.json of 256,000 tokens with merges has some 30 MB."""

MAX_KEYS = 5000
MAX_DEPTH = 12
MAX_TEXT = 300
_ABSENT = object()


@dataclass(frozen=True, slots=True)
class SettingChange:
    """One key of one file; `kind` is added, removed or changed."""

    file: str
    key: str
    kind: str
    before: Scalar = None
    after: Scalar = None


@dataclass(frozen=True, slots=True)
class TokenizerChange:
    """What became of a vocabulary. `moved` tokens have another number now.

    `examples_*` are a few of them, as they are spelt.
    """

    file: str
    tokens_before: int
    tokens_after: int
    added: int
    removed: int
    moved: int
    examples_added: tuple[str, ...] = ()
    examples_removed: tuple[str, ...] = ()
    merges_before: int | None = None
    merges_after: int | None = None


@dataclass(frozen=True, slots=True)
class FileChange:
    """A file beside tensors that is on one side only or whose bytes differ."""

    path: str
    kind: str
    size_before: int | None
    size_after: int | None


def setting_changes(before: Files, after: Files) -> tuple[list[SettingChange], list[str]]:
    """Keys that differ in configuration files on both sides, and notes on what cannot be read."""
    changes: list[SettingChange] = []
    notes: list[str] = []
    for path in sorted({*before} & {*after}):
        if path.rpartition("/")[2] in SETTING_FILES:
            left = _settings(before, path, notes)
            right = _settings(after, path, notes)
            changes.extend(_differing(path, left, right))
    return changes, list(dict.fromkeys(notes))


def _settings(files: Files, path: str, notes: list[str]) -> dict[str, Any]:
    with files[path].open() as source:
        try:
            parsed = read_json(source, MAX_CONFIG_BYTES, what="the file", constants=True)
        except UntrustedDataError as error:
            notes.append(f"not compared: {error}")
            return {}
    flat: dict[str, Any] = {}
    _flatten("", parsed, flat, 0)
    return flat


def _flatten(prefix: str, value: Any, flat: dict[str, Any], depth: int) -> None:
    if len(flat) >= MAX_KEYS:
        return
    if isinstance(value, Mapping) and value and depth < MAX_DEPTH:
        for key, inner in value.items():
            name = printable(str(key), MAX_TEXT)
            _flatten(f"{prefix}.{name}" if prefix else name, inner, flat, depth + 1)
    elif value is None or isinstance(value, (bool, int, float)):
        flat[prefix] = value
    else:
        flat[prefix] = printable(value if isinstance(value, str) else str(value), MAX_TEXT)


def _differing(path: str, left: Mapping[str, Any], right: Mapping[str, Any]) -> list[SettingChange]:
    found = []
    for key in sorted({*left, *right}):
        a, b = left.get(key, _ABSENT), right.get(key, _ABSENT)
        if a is _ABSENT:
            found.append(SettingChange(path, key, "added", None, b))
        elif b is _ABSENT:
            found.append(SettingChange(path, key, "removed", a, None))
        elif a != b or type(a) is not type(b):
            found.append(SettingChange(path, key, "changed", a, b))
    return found


def tokenizer_changes(before: Files, after: Files) -> tuple[list[TokenizerChange], list[str]]:
    """Vocabularies that differ, and notes on files that cannot be read."""
    changes: list[TokenizerChange] = []
    notes: list[str] = []
    for path in sorted({*before} & {*after}):
        name = path.rpartition("/")[2]
        if name in TOKENIZERS:
            try:
                left, merges_before = vocabulary(before, path)
                right, merges_after = vocabulary(after, path)
            except UntrustedDataError as error:
                notes.append(f"not compared: {error}")
                continue
            change = _vocabulary_change(path, left, right, (merges_before, merges_after))
            if change is not None:
                changes.append(change)
    return changes, notes


def vocabulary(files: Files, path: str) -> tuple[dict[str, Any], int | None]:
    """Token to number, and how many merges a tokenizer file has.

    Raises:
        UntrustedDataError: it is not what its name says.
    """
    with files[path].open() as source:
        if path.endswith(".txt"):
            size = min(source.size_bytes, MAX_TOKENIZER_BYTES)
            lines = source.read_at(0, size).decode("utf-8", "replace").splitlines()
            return {token: number for number, token in enumerate(lines)}, None
        parsed = read_json(source, MAX_TOKENIZER_BYTES, what="the file", constants=True)
    if not isinstance(parsed, Mapping):
        return {}, None
    model = parsed.get("model")
    if not isinstance(model, Mapping):
        return dict(parsed), None
    vocabulary, merges = model.get("vocab"), model.get("merges")
    count = len(merges) if isinstance(merges, list) else None
    if isinstance(vocabulary, list):  # unigram models: pairs of token and score
        pairs = [item for item in vocabulary if isinstance(item, list) and item]
        vocabulary = {str(pair[0]): number for number, pair in enumerate(pairs)}
    return (dict(vocabulary) if isinstance(vocabulary, Mapping) else {}), count


_EXAMPLES = 5


def _vocabulary_change(
    path: str,
    left: Mapping[str, Any],
    right: Mapping[str, Any],
    merges: tuple[int | None, int | None],
) -> TokenizerChange | None:
    added = [token for token in right if token not in left]
    removed = [token for token in left if token not in right]
    moved = sum(1 for token, number in left.items() if token in right and right[token] != number)
    if not (added or removed or moved) and merges[0] == merges[1]:
        return None
    return TokenizerChange(
        file=path,
        tokens_before=len(left),
        tokens_after=len(right),
        added=len(added),
        removed=len(removed),
        moved=moved,
        examples_added=tuple(printable(token, 40) for token in added[:_EXAMPLES]),
        examples_removed=tuple(printable(token, 40) for token in removed[:_EXAMPLES]),
        merges_before=merges[0],
        merges_after=merges[1],
    )


def file_changes(
    before: Files, after: Files, known: frozenset[str], *, max_bytes: int = 16 << 20
) -> list[FileChange]:
    """Other files that came, went or have other bytes; `known` paths were compared otherwise.

    Files above `max_bytes` are compared by size alone.
    """
    found = []
    for path in sorted(({*before} | {*after}) - known):
        a, b = before.get(path), after.get(path)
        sizes = (a.size_bytes if a else None, b.size_bytes if b else None)
        if a is None or b is None:
            found.append(FileChange(path, "added" if a is None else "removed", *sizes))
        elif a.size_bytes != b.size_bytes:
            found.append(FileChange(path, "changed", *sizes))
        elif a.size_bytes <= max_bytes:
            with a.open() as left, b.open() as right:
                if left.read_at(0, a.size_bytes) != right.read_at(0, b.size_bytes):
                    found.append(FileChange(path, "changed", *sizes))
    return found
