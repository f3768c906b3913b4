"""Safetensors files of at most so many bytes: which tensor goes into which, and their index."""

import json
from collections.abc import Iterator, Sequence

from cairn.formats.reframing import Outgoing, size_bytes

SUFFIX = ".safetensors"


def shards(tensors: Sequence[Outgoing], shard_bytes: int | None) -> Iterator[Sequence[Outgoing]]:
    """Tensors in order, a new shard before the one that would make it larger than allowed."""
    if shard_bytes is None:
        yield tensors
        return
    shard: list[Outgoing] = []
    held = 0
    for outgoing in tensors:
        size = size_bytes(outgoing)
        if shard and held + size > shard_bytes:
            yield shard
            shard, held = [], 0
        shard.append(outgoing)
        held += size
    yield shard


def shard_names(name: str, count: int) -> list[str]:
    """The file's own name, or as many numbered ones."""
    if count == 1:
        return [name]
    stem = name.removesuffix(SUFFIX)
    return [f"{stem}-{number:05}-of-{count:05}{SUFFIX}" for number in range(1, count + 1)]


def index_text(names: Sequence[str], parts: Sequence[Sequence[Outgoing]]) -> str:
    """The index of several shards, as `huggingface_hub` writes it."""
    total = sum(size_bytes(outgoing) for shard in parts for outgoing in shard)
    places = {
        outgoing.name: name for name, shard in zip(names, parts, strict=True) for outgoing in shard
    }
    index = {"metadata": {"total_size": total}, "weight_map": dict(sorted(places.items()))}
    return json.dumps(index, indent=2, ensure_ascii=False) + "\n"
