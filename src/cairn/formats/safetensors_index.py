"""The index of a checkpoint sharded over several files: which tensor is said to be where.

`model.safetensors.index.json`, and `pytorch_model.bin.index.json` in the same form:

    {"metadata": {"total_size": <bytes of all tensors>},
     "weight_map": {"<tensor>": "<file beside the index>", ...}}

Source: https://huggingface.co/docs/transformers/big_models#sharded-checkpoints.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from cairn.domain import Layout, Source, check_path
from cairn.errors import MalformedError, NamingError
from cairn.formats.limits import MAX_INDEX_BYTES
from cairn.formats.strict_json import is_integer, read_json

INDEX_SUFFIX = ".index.json"
_EXAMPLES = 3
_SHARD = re.compile(r"(?P<stem>.+)-(?P<number>\d{5})-of-(?P<count>\d{5})(?P<end>\.[a-z]+)\Z")


@dataclass(frozen=True, slots=True)
class ShardIndex:
    """What an index says: the file of each tensor, and the bytes of all (None if it does not)."""

    name: str
    files: Mapping[str, str]
    total_bytes: int | None

    @property
    def shards(self) -> tuple[str, ...]:
        """The files named, each once, sorted."""
        return tuple(sorted(set(self.files.values())))


def read_index(source: Source) -> ShardIndex:
    """Parse an index.

    Raises:
        LimitError: it is larger than `MAX_INDEX_BYTES`.
        MalformedError: it is not strict JSON of the form above, or a shard's name is absolute,
            climbs out of the folder, or could mean different files on different systems.
    """
    parsed = read_json(source, MAX_INDEX_BYTES, what="the shard index", constants=True)
    files = parsed.get("weight_map") if isinstance(parsed, dict) else None
    if not isinstance(files, dict) or not all(isinstance(v, str) for v in files.values()):
        raise MalformedError(
            "weight_map must be an object from tensor names to file names", source=source.name
        )
    for shard in set(files.values()):
        _check_shard_name(shard, source.name)
    return ShardIndex(source.name, files, _total(parsed.get("metadata")))


def _check_shard_name(shard: str, source: str) -> None:
    try:
        check_path(shard)
    except NamingError as error:
        raise MalformedError(f"shard name: {error}", source=source) from None
    if "\\" in shard or ":" in shard:
        raise MalformedError(
            f"shard name {shard[:120]!r} holds a backslash or colon, a path on Windows",
            source=source,
        )


def _total(metadata: object) -> int | None:
    """`total_size`; some writers left a float there, and it is only ever a hint."""
    total = metadata.get("total_size") if isinstance(metadata, dict) else None
    if isinstance(total, float) and total.is_integer():
        return int(total)
    return total if isinstance(total, int) and is_integer(total) and total >= 0 else None


def disagreements(index: ShardIndex, layouts: Mapping[str, Layout]) -> Iterator[str]:
    """Where an index and the shards disagree, one sentence each.

    `layouts` are the readable files by their path relative to the index's folder.
    """
    missing = [shard for shard in index.shards if shard not in layouts]
    if missing:
        yield f"{index.name}: shards missing or unreadable: {_some(missing)}"
    names = {
        path: {t.name for t in layouts[path].tensors} for path in index.shards if path in layouts
    }
    places = {name: path for path, held in names.items() for name in held}
    absent = [t for t, path in index.files.items() if path in names and t not in places]
    if absent:
        yield f"{index.name}: tensors in no shard: {_some(absent)}"
    moved = [
        f"{tensor} (in {places[tensor]})"
        for tensor, path in index.files.items()
        if path in names and tensor in places and tensor not in names[path]
    ]
    if moved:
        yield f"{index.name}: tensors in another shard than said: {_some(moved)}"
    extra = [name for name in places if name not in index.files]
    if extra:
        yield f"{index.name}: tensors of the shards that it does not name: {_some(extra)}"
    if index.total_bytes is not None and not missing:
        held = sum(t.dtype.size_bytes(t.elements) for path in names for t in layouts[path].tensors)
        if held != index.total_bytes:
            yield f"{index.name}: total_size says {index.total_bytes} bytes, the shards hold {held}"


def incomplete_series(paths: Iterable[str]) -> Iterator[str]:
    """Series such as `model-00001-of-00003.safetensors` with numbers missing, one sentence each."""
    series: dict[tuple[str, str, int], set[int]] = {}
    for path in paths:
        match = _SHARD.match(path)
        if match:
            key = (match["stem"], match["end"], int(match["count"]))
            series.setdefault(key, set()).add(int(match["number"]))
    for (stem, end, count), numbers in series.items():
        absent = count - sum(1 for number in numbers if 1 <= number <= count)
        if absent:
            series_name = f"{stem}-*-of-{count:05}{end}"
            yield f"{series_name}: {absent} of {count} shards are not among these files"


def _some(names: list[str]) -> str:
    shown = ", ".join(name[:200] for name in names[:_EXAMPLES])
    rest = len(names) - _EXAMPLES
    return f"{shown} and {rest} more" if rest > 0 else shown
