"""Small files that claim enormous values: nothing streams or writes them for ever."""

import json
from contextlib import nullcontext
from pathlib import Path

import pytest

from cairn.domain import Checkpoint, DType, Layout, Span, Storage, TensorInfo
from cairn.errors import LimitError
from cairn.formats import BytesSource, File
from cairn.workflows.convert import Choice, plan
from cairn.workflows.diff import compare, pairing_of
from cairn.workflows.health import measure_tensors
from cairn.workflows.inspect import read_path
from cairn.workflows.readable import ReadableCheckpoint
from cairn.workflows.tensor_changes import Verdict

COUNT = 40_000


def bomb(prefix: str = "t") -> ReadableCheckpoint:
    """One stored element seen as 10 TB of tensors, each as large as a view alone may be."""
    small = TensorInfo("a", DType.F32, (2,), Span(0, 8))
    views = (
        TensorInfo(f"{prefix}{n}", DType.F32, (1 << 26,), Span(0, 4), strides=(0,))
        for n in range(COUNT)
    )
    layout = Layout("torch-zip", 8, (small, *views), (Storage(Span(0, 8), DType.F32),))
    file = File(8, lambda: nullcontext(BytesSource(bytes(8), "x")))
    return ReadableCheckpoint(Checkpoint("x", {"x": layout}), {"x": file})


def test_values_far_beyond_the_files_are_not_converted() -> None:
    with pytest.raises(LimitError, match="cannot hold"):
        plan(bomb(), "model.safetensors", Choice(), "x")


def test_values_far_beyond_the_files_are_not_measured() -> None:
    readable = bomb()
    found = list(measure_tensors(readable, readable.checkpoint.tensors()))
    assert found[0].statistics is not None
    assert sum(one.statistics is not None for one in found) < 6
    assert "far more bytes" in found[-1].not_read


def test_values_far_beyond_the_files_are_not_compared() -> None:
    before, after = bomb(), bomb()
    found = compare(before, after, pairing_of(before, after))
    assert found.tensors[0].verdict is Verdict.EQUAL
    assert sum(one.verdict is Verdict.UNKNOWN for one in found.tensors) > COUNT - 10


def test_forty_thousand_tensors_without_a_name_in_common_are_paired_once() -> None:
    found = pairing_of(bomb("t"), bomb("other"))
    assert 1 <= len(found.pairs) < 6


def test_a_tensor_that_cannot_be_read_has_no_pair_by_content(tmp_path: Path) -> None:
    for name in ("old", "new"):
        (tmp_path / f"{name}.safetensors").write_bytes(one_tensor(name))
    before, after = (read_path(tmp_path / f"{name}.safetensors") for name in ("old", "new"))
    (tmp_path / "old.safetensors").write_bytes(b"")
    assert pairing_of(before, after).pairs == ()


def one_tensor(name: str) -> bytes:
    header = json.dumps({name: {"dtype": "U8", "shape": [4], "data_offsets": [0, 4]}}).encode()
    return len(header).to_bytes(8, "little") + header + b"abcd"
