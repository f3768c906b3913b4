"""Reframing: the very bytes the safetensors library would write, at any offset, nothing copied."""

import random
from functools import partial

import pytest
import safetensors.torch
import torch

from cairn.domain import DType, Piece, Span, TensorInfo
from cairn.errors import LimitError, MalformedError, RequestError
from cairn.formats import BytesSource, File, read_layout, reframed_source
from cairn.formats.reframed_source import ReframedSource
from cairn.formats.reframing import Outgoing, reframe
from cairn.testing.readers import CountingSource
from tests.formats.making import TORCH_DTYPES, layout_of, saved, tensor_of


class Opened:
    """A file in memory that counts how often it is open."""

    open_now = 0

    def __init__(self, source):
        self.source = source

    def __enter__(self):
        Opened.open_now += 1
        return self.source

    def __exit__(self, *_):
        Opened.open_now -= 1


def files_of(**contents):
    sources = {name: CountingSource(BytesSource(data, name)) for name, data in contents.items()}
    files = {
        name: File(source.size_bytes, partial(Opened, source)) for name, source in sources.items()
    }
    return files, sources


def outgoing(layout, path="a"):
    return [Outgoing(tensor.name, path, tensor, tensor.dtype) for tensor in layout.tensors]


def reframed(value, metadata=None):
    data = saved(value)
    return ReframedSource(
        reframe(outgoing(layout_of(data)), metadata or {}), files_of(a=data)[0], "v"
    )


def whole(source):
    return source.read_at(0, source.size_bytes)


WRITABLE = [label for label in TORCH_DTYPES if label not in ("C32", "C128")]
MIXED = {
    **{label: tensor_of(TORCH_DTYPES[label], (3, 4), 1) for label in WRITABLE},
    **{f"{label}.turned": tensor_of(TORCH_DTYPES[label], (3, 4), 2).t() for label in WRITABLE},
    "scalar": torch.tensor(1.5),
    "nothing": torch.empty(0, 5),
    "every other": torch.arange(40)[1::3],
    "repeated": torch.arange(4.0).expand(5, 4),
    "äöü 你好": torch.ones(2),
    'quote" and \\ and \n': torch.ones(1),
}


def contiguous(value):
    return {name: tensor.contiguous().clone() for name, tensor in value.items()}


@pytest.mark.parametrize("metadata", [{}, {"format": "pt"}])
def test_it_is_byte_for_byte_what_the_library_writes(metadata) -> None:
    expected = safetensors.torch.save(contiguous(MIXED), metadata or None)
    source = reframed(MIXED, metadata)
    assert source.size_bytes == len(expected)
    assert whole(source) == expected


def test_nothing_at_all_is_a_valid_file() -> None:
    source = ReframedSource(reframe([], {}), {}, "v")
    assert whole(source) == safetensors.torch.save({})
    assert read_layout(source).tensors == ()


def test_the_size_is_known_before_any_value_is_read() -> None:
    data = saved(MIXED)
    files, sources = files_of(a=data)
    source = ReframedSource(reframe(outgoing(layout_of(data)), {}), files, "v")
    assert source.size_bytes > 0 and source.name == "v"
    source.read_at(0, 100)
    assert sources["a"].reads == []


def test_any_range_has_the_bytes_of_the_whole() -> None:
    source = reframed(MIXED)
    expected = whole(source)
    rng = random.Random(3)
    for _ in range(2000):
        offset = rng.randrange(len(expected) + 20)
        length = rng.choice((0, 1, 7, 64, 500, 5000))
        assert source.read_at(offset, length) == expected[offset : offset + length]


def test_every_block_size_gives_the_whole() -> None:
    source = reframed(MIXED)
    expected = whole(source)
    for size in (1, 3, 100, 1000):
        parts = [source.read_at(at, size) for at in range(0, len(expected) + size, size)]
        assert b"".join(parts) == expected


def test_a_range_of_plain_tensors_reads_nothing_else() -> None:
    value = {f"t{n}": torch.full((100,), float(n)) for n in range(20)}
    data = saved(value)
    files, sources = files_of(a=data)
    source = ReframedSource(reframe(outgoing(layout_of(data)), {}), files, "v")
    source.read_at(source.size_bytes - 600, 500)
    assert sources["a"].bytes_read == 500


def test_reading_on_computes_nothing_twice(monkeypatch) -> None:
    begun = []
    real = reframed_source.values

    def counted(outgoing, files, start=0):
        begun.append(start)
        return real(outgoing, files, start)

    monkeypatch.setattr(reframed_source, "values", counted)
    source = reframed({"w": torch.arange(1000).reshape(10, 100).t()})
    start = source.size_bytes - 8000
    for at in range(start + 80, source.size_bytes, 100):
        source.read_at(at, 100)
    assert begun == [80]


def test_many_files_are_not_all_held_open(monkeypatch) -> None:
    monkeypatch.setattr(Opened, "open_now", 0)
    datas = {f"f{n}": saved({f"t{n}": torch.full((4,), float(n))}) for n in range(100)}
    files, _ = files_of(**datas)
    tensors = [o for name, data in datas.items() for o in outgoing(layout_of(data), name)]
    with ReframedSource(reframe(tensors, {}), files, "v") as source:
        found = safetensors.torch.load(whole(source))
        assert Opened.open_now == reframed_source.MAX_OPEN_FILES
    assert Opened.open_now == 0
    assert all(found[f"t{n}"].tolist() == [n] * 4 for n in range(100))


def test_pieces_that_follow_each_other_are_spans_of_their_files() -> None:
    a, b = torch.arange(12.0), torch.arange(12.0, 20.0)
    pieces = (
        Piece(Span(0, 32), (3, 0), (2, 4), path="b"),
        Piece(Span(4, 56), (0, 0), (3, 4), path="a", skip_bytes=4),
    )
    tensor = TensorInfo("t", DType.F32, (5, 4), Span(0, 0), pieces=pieces)
    files, _ = files_of(a=bytes(8) + a.numpy().tobytes(), b=b.numpy().tobytes())
    plan = reframe([Outgoing("t", "anchor", tensor, tensor.dtype)], {})
    assert [(run.path, run.span) for run in plan.runs] == [("a", Span(8, 56)), ("b", Span(0, 32))]
    found = safetensors.torch.load(whole(ReframedSource(plan, files, "v")))
    assert torch.equal(found["t"], torch.cat([a, b]).reshape(5, 4))


@pytest.mark.parametrize(
    "pieces",
    [
        (Piece(Span(0, 40), (0, 0), (5, 2)), Piece(Span(40, 80), (0, 2), (5, 2))),
        (Piece(Span(0, 32), (1, 0), (2, 4)),),
        (Piece(Span(0, 32), (0, 0), (2, 4)), Piece(Span(0, 32), (2, 0), (2, 4))),
    ],
    ids=["columns", "a hole before", "a hole after"],
)
def test_pieces_that_do_not_follow_each_other_are_put_together(pieces) -> None:
    tensor = TensorInfo("t", DType.F32, (5, 4), Span(0, 0), pieces=pieces)
    files, _ = files_of(a=torch.arange(20.0).numpy().tobytes())
    plan = reframe([Outgoing("t", "a", tensor, tensor.dtype)], {})
    assert [run.span for run in plan.runs] == [None]
    with ReframedSource(plan, files, "v") as source:
        expected = whole(source)
        assert len(expected) == source.size_bytes
        assert source.read_at(len(expected) - 50, 50) == expected[-50:]


def test_a_file_that_is_missing_or_leads_out_is_not_read() -> None:
    tensor = TensorInfo(
        "t", DType.U8, (4,), Span(0, 0), pieces=(Piece(Span(0, 4), (0,), (4,), path="b"),)
    )
    plan = reframe([Outgoing("t", "a", tensor, tensor.dtype)], {})
    with pytest.raises(MalformedError, match="refers to 'b', not there"):
        whole(ReframedSource(plan, {}, "v"))
    secret = File(4, partial(Opened, BytesSource(b"key!")), leads_out=True)
    with pytest.raises(MalformedError, match="leads out of the checkpoint"):
        whole(ReframedSource(plan, {"b": secret}, "v"))


def test_a_file_cut_short_since_is_an_error_not_a_short_answer() -> None:
    data = saved({"plain": torch.ones(500), "turned": torch.ones(50, 2).t()})
    plan = reframe(outgoing(layout_of(data)), {})
    files, _ = files_of(a=data[:200])
    with ReframedSource(plan, files, "v") as source:
        for run in plan.runs:
            with pytest.raises(MalformedError):
                source.read_at(run.start, 1)


@pytest.mark.parametrize(
    ("dtype", "hint"), [(DType.C128, "--exclude 't'"), (DType.Q4_0, "--dequantise")]
)
def test_types_safetensors_lacks_are_refused_by_name_with_a_way_out(dtype, hint) -> None:
    tensor = TensorInfo("t", dtype, (32,), Span(0, dtype.size_bytes(32)))
    with pytest.raises(RequestError, match=rf"'t' of a .* {dtype.label}.*{hint}"):
        reframe([Outgoing("t", "a", tensor, dtype)], {})


def test_a_tensor_called_like_the_metadata_is_refused() -> None:
    tensor = TensorInfo("x", DType.U8, (1,), Span(0, 1))
    with pytest.raises(RequestError, match="no tensor can be called"):
        reframe([Outgoing("__metadata__", "a", tensor, tensor.dtype)], {})


def test_a_header_beyond_what_the_library_reads_is_refused(monkeypatch) -> None:
    monkeypatch.setattr("cairn.formats.reframing.MAX_SAFETENSORS_HEADER_BYTES", 100)
    tensor = TensorInfo("x", DType.U8, (1,), Span(0, 1))
    with pytest.raises(LimitError, match="--shard-size"):
        reframe([Outgoing("x" * 100, "a", tensor, tensor.dtype)], {})
