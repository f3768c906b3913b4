"""The index of sharded checkpoints: parsed strictly, compared with what the shards hold."""

import json

import pytest
import safetensors.torch
import torch

from cairn.errors import LimitError, MalformedError
from cairn.formats import BytesSource, limits
from cairn.formats.safetensors_index import disagreements, incomplete_series, read_index
from tests.formats.making import layout_of


def index_of(value: object):
    raw = value if isinstance(value, bytes) else json.dumps(value).encode()
    return read_index(BytesSource(raw, "model.safetensors.index.json"))


LAYOUTS = {
    "a.safetensors": layout_of(safetensors.torch.save({"x": torch.ones(2), "y": torch.ones(3)})),
    "b.safetensors": layout_of(safetensors.torch.save({"z": torch.ones(4)})),
}
GOOD = {
    "metadata": {"total_size": 36},
    "weight_map": {"x": "a.safetensors", "y": "a.safetensors", "z": "b.safetensors"},
}


def complaints(index: object, layouts=LAYOUTS) -> list[str]:
    return list(disagreements(index_of(index), layouts))


def test_an_index_that_agrees_has_no_complaints() -> None:
    index = index_of(GOOD)
    assert index.shards == ("a.safetensors", "b.safetensors")
    assert index.total_bytes == 36
    assert complaints(GOOD) == []


def test_missing_shards_are_named() -> None:
    (only,) = complaints(GOOD, {"a.safetensors": LAYOUTS["a.safetensors"]})
    assert "missing or unreadable: b.safetensors" in only


def test_tensors_in_the_wrong_shard_are_named() -> None:
    moved = {**GOOD, "weight_map": {**GOOD["weight_map"], "x": "b.safetensors"}}
    assert complaints(moved) == [
        "model.safetensors.index.json: tensors in another shard than said: x (in a.safetensors)"
    ]


def test_tensors_on_one_side_only_are_named() -> None:
    more = {**GOOD, "weight_map": {**GOOD["weight_map"], "q": "a.safetensors"}}
    assert any("in no shard: q" in text for text in complaints(more))
    fewer = {**GOOD, "weight_map": {"x": "a.safetensors", "z": "b.safetensors"}}
    assert any("does not name: y" in text for text in complaints(fewer))


def test_a_wrong_total_is_named() -> None:
    (only,) = complaints({**GOOD, "metadata": {"total_size": 40}})
    assert "says 40 bytes, the shards hold 36" in only


@pytest.mark.parametrize("total", [36.0, None, "36", True, -1, 1e400])
def test_a_total_of_another_kind_is_only_a_hint(total) -> None:
    text = json.dumps({**GOOD, "metadata": {"total_size": total}}).encode()
    assert list(disagreements(index_of(text), LAYOUTS)) == []


@pytest.mark.parametrize(
    "shard",
    ["../a.safetensors", "/etc/passwd", "a//b", "", ".", "x/../y", "a\\b", "C:x", "a\0b", ".git/x"],
)
def test_path_tricks_are_refused(shard) -> None:
    with pytest.raises(MalformedError, match="shard name"):
        index_of({"weight_map": {"x": shard}})


@pytest.mark.parametrize(
    "raw",
    [b"", b"[]", b"{}", b'{"weight_map": []}', b'{"weight_map": {"a": 1}}', b"{" * 100_000,
     b'{"weight_map": {"a": "x", "a": "y"}}', b"\xff"],
)  # fmt: skip
def test_what_is_no_index_is_refused(raw) -> None:
    with pytest.raises(MalformedError):
        index_of(raw)


def test_a_huge_index_is_not_read() -> None:
    class Huge:
        name, size_bytes = "huge", limits.MAX_INDEX_BYTES + 1

        def read_at(self, offset: int, length: int) -> bytes:
            raise AssertionError("read")

    with pytest.raises(LimitError):
        read_index(Huge())


def test_a_series_with_gaps_is_noticed_without_an_index() -> None:
    paths = ["m-00001-of-00003.safetensors", "m-00003-of-00003.safetensors", "other.safetensors"]
    (only,) = incomplete_series(paths)
    assert "1 of 3" in only
    assert not list(incomplete_series([*paths, "m-00002-of-00003.safetensors"]))
    assert "99998 of 99999" in next(incomplete_series(["m-00001-of-99999.bin"]))
