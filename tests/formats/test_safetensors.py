"""safetensors files: equal to what the library reads, strict where the library is."""

import json
import struct

import pytest
import safetensors.torch
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from cairn.domain import DType, Role
from cairn.errors import LimitError, MalformedError, UnknownFormatError, UntrustedDataError
from cairn.formats import BytesSource, limits, read_layout
from cairn.testing.readers import CountingSource
from tests.formats.making import TORCH_DTYPES, bytes_of, layout_of, safetensors_bytes, tensor_of

# What safetensors.torch 0.8 can write.
WRITABLE = sorted(set(TORCH_DTYPES) - {"C32", "C128"})
ONE = {"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}


def refused(header: object, buffer: bytes = bytes(8), match: str = "") -> None:
    with pytest.raises(MalformedError, match=match):
        layout_of(safetensors_bytes(header, buffer))


@pytest.mark.parametrize("label", WRITABLE)
def test_every_dtype_has_the_bytes_the_library_wrote(label: str) -> None:
    tensors = {
        "matrix": tensor_of(TORCH_DTYPES[label], (3, 4), 1),
        "scalar": tensor_of(TORCH_DTYPES[label], (), 2),
        "empty": tensor_of(TORCH_DTYPES[label], (0, 5), 3),
    }
    data = safetensors.torch.save(tensors)
    layout = layout_of(data)
    assert {t.name for t in layout.tensors} == set(tensors)
    for found in layout.tensors:
        assert found.dtype is DType[label]
        assert found.shape == tuple(tensors[found.name].shape)
        assert data[found.span.start : found.span.stop] == bytes_of(tensors[found.name])


def test_four_bit_numbers_are_counted_one_by_one() -> None:
    packed = torch.arange(6, dtype=torch.uint8).reshape(3, 2).view(torch.float4_e2m1fn_x2)
    (found,) = layout_of(safetensors.torch.save({"w": packed})).tensors
    assert (found.dtype, found.shape, found.span.size_bytes) == (DType.F4, (3, 4), 6)


def test_six_bit_numbers_fill_whole_bytes() -> None:
    header = {"w": {"dtype": "F6_E2M3", "shape": [4], "data_offsets": [0, 3]}}
    (found,) = layout_of(safetensors_bytes(header, bytes(3))).tensors
    assert found.dtype is DType.F6_E2M3
    header["w"] = {"dtype": "F6_E2M3", "shape": [3], "data_offsets": [0, 3]}
    refused(header, bytes(3), "whole bytes")


def test_the_real_minilm_is_read(minilm) -> None:
    path = minilm / "model.safetensors"
    data = path.read_bytes()
    layout = layout_of(data)
    loaded = safetensors.torch.load(data)
    assert {t.name: t.shape for t in layout.tensors} == {
        name: tuple(tensor.shape) for name, tensor in loaded.items()
    }
    assert layout.parameters_by_dtype() == {DType.F32: 22_713_216}
    assert layout.metadata == {"format": "pt"}
    assert layout.notes == ()


def test_only_the_header_is_read(minilm) -> None:
    source = CountingSource(BytesSource((minilm / "model.safetensors").read_bytes()))
    layout = read_layout(source)
    header = layout.storages[0].span.start
    assert source.bytes_read <= header + limits.HEAD_BYTES
    assert len(source.reads) <= 3


def test_tensors_come_in_the_order_of_their_bytes() -> None:
    header = {
        "z": {"dtype": "U8", "shape": [2], "data_offsets": [0, 2]},
        "a": {"dtype": "U8", "shape": [3], "data_offsets": [2, 5]},
    }
    assert [t.name for t in layout_of(safetensors_bytes(header, bytes(5))).tensors] == ["z", "a"]


def test_optimizer_state_by_its_flat_names() -> None:
    tensors = {"w": torch.ones(1), "0.exp_avg": torch.ones(1), "optimizer.step": torch.ones(1)}
    layout = layout_of(safetensors.torch.save(tensors))
    assert {t.name: t.role for t in layout.tensors} == {
        "w": Role.WEIGHTS,
        "0.exp_avg": Role.OPTIMIZER,
        "optimizer.step": Role.OPTIMIZER,
    }


shapes = st.lists(st.integers(0, 5), max_size=4).map(tuple)
entries = st.dictionaries(
    st.text(st.characters(exclude_categories=("Cs",)), max_size=20).filter(
        lambda name: name != "__metadata__"
    ),
    st.tuples(st.sampled_from(WRITABLE), shapes),
    max_size=8,
)


@settings(max_examples=60, deadline=None)
@given(entries)
def test_whatever_the_library_writes_is_laid_out_alike(wanted) -> None:
    tensors = {
        name: tensor_of(TORCH_DTYPES[label], shape, i)
        for i, (name, (label, shape)) in enumerate(wanted.items())
    }
    data = safetensors.torch.save(tensors)
    layout = layout_of(data)
    assert {t.name: (t.dtype.label, t.shape) for t in layout.tensors} == wanted
    for found in layout.tensors:
        assert data[found.span.start : found.span.stop] == bytes_of(tensors[found.name])


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner),
    max_leaves=12,
)


@settings(max_examples=200, deadline=None)
@given(st.dictionaries(st.text(max_size=8), json_values, max_size=5), st.binary(max_size=32))
def test_any_json_header_is_laid_out_or_refused(header, buffer) -> None:
    try:
        layout_of(safetensors_bytes(header, buffer))
    except UntrustedDataError as error:
        assert "sample.pt" in str(error)


@settings(max_examples=100, deadline=None)
@given(
    st.sampled_from(["dtype", "shape", "data_offsets"]),
    json_values,
)
def test_no_value_of_an_entry_raises_anything_else(key, value) -> None:
    header = {"a": {**ONE["a"], key: value}}
    try:
        layout = layout_of(safetensors_bytes(header, bytes(8)))
    except UntrustedDataError:
        return
    assert layout.tensors[0].span.size_bytes == 8


@pytest.mark.parametrize(
    ("entry", "why"),
    [
        ({"dtype": "F32", "shape": [True, 2], "data_offsets": [0, 8]}, "integers"),
        ({"dtype": "F32", "shape": [2.0], "data_offsets": [0, 8]}, "integers"),
        ({"dtype": "F32", "shape": [-2], "data_offsets": [0, 8]}, "integers"),
        ({"dtype": "F32", "shape": [2], "data_offsets": [8, 0]}, "start <= stop"),
        ({"dtype": "F32", "shape": [2], "data_offsets": [0, 8, 8]}, "start <= stop"),
        ({"dtype": "F32", "shape": [3], "data_offsets": [0, 8]}, "needs 12 bytes"),
        ({"dtype": "F33", "shape": [2], "data_offsets": [0, 8]}, "unknown dtype"),
        ({"dtype": ["F32"], "shape": [2], "data_offsets": [0, 8]}, "unknown dtype"),
        ({"dtype": "F32", "shape": [2]}, "dtype, shape and data_offsets"),
        ({"dtype": "F32", "shape": [2], "data_offsets": [0, 8], "x": 1}, "data_offsets only"),
        ({"dtype": "F32", "shape": [2**62, 8], "data_offsets": [0, 8]}, "overflows"),
        ({"dtype": "F32", "shape": [2**32, 2**32], "data_offsets": [0, 0]}, "overflows"),
        ({"dtype": "F32", "shape": [1] * 65 + [2], "data_offsets": [0, 8]}, "axes"),
        ({"dtype": "F32", "shape": [2], "data_offsets": [0, 2**64]}, "integers"),
        ({"dtype": "QI8", "shape": [8], "data_offsets": [0, 8]}, "unknown dtype"),
        ([], "must be an object"),
        (None, "must be an object"),
    ],
)
def test_an_impossible_entry_is_refused(entry, why) -> None:
    refused({"a": entry}, match=why)


def test_zero_elements_of_a_huge_shape_take_no_bytes() -> None:
    entry = {"dtype": "F32", "shape": [2**62, 0, 2**62], "data_offsets": [0, 0]}
    (found,) = layout_of(safetensors_bytes({"a": entry})).tensors
    assert found.elements == 0


@pytest.mark.parametrize(
    ("offsets", "buffer", "why"),
    [
        ([(0, 8), (4, 12)], 12, "overlaps"),
        ([(0, 8), (12, 20)], 20, "gap"),
        ([(4, 12)], 12, "gap"),
        ([(0, 8)], 9, "cover 8 bytes, the buffer has 9"),
        ([(0, 8)], 7, "cover 8 bytes, the buffer has 7"),
        ([(0, 8), (0, 8)], 8, "overlaps"),
    ],
)
def test_the_buffer_is_covered_exactly_once(offsets, buffer, why) -> None:
    header = {
        f"t{i}": {"dtype": "F32", "shape": [2], "data_offsets": list(pair)}
        for i, pair in enumerate(offsets)
    }
    refused(header, bytes(buffer), why)


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        (b'{"a": 1, "a": 2}', "twice"),
        (b'{"a": {"dtype": "F32", "dtype": "F16"}}', "twice"),
        (b'{"a": NaN}', "not JSON"),
        (b'{"a": Infinity}', "not JSON"),
        (b'{"a": "\\ud800"}', "surrogate"),
        (b'{"\\ud800": 1}', "surrogate"),
        (b'{"a": \xff}', "UTF-8"),
        (b'{"a": ' + b"9" * 5000 + b"}", "digits"),
        (b'{"a": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", "nested"),
        (b'{"a":' * 100_000 + b"1" + b"}" * 100_000, "nested"),
        (b"{}}", "not JSON"),
        (b"{", "not JSON"),
        (b'{"__metadata__": {"a": 1}}', "strings to strings"),
        (b'{"__metadata__": []}', "strings to strings"),
    ],
)
def test_a_header_that_is_not_strict_json_is_refused(raw, why) -> None:
    refused(raw, b"", why)


def test_a_header_may_be_padded_with_spaces() -> None:
    assert layout_of(safetensors_bytes(json.dumps(ONE).encode() + b"   ", bytes(8))).tensors


def test_a_header_longer_than_the_file_is_refused() -> None:
    with pytest.raises(MalformedError, match="claims 99999 bytes"):
        layout_of(struct.pack("<Q", 99_999) + b"{}")


def test_a_header_beyond_the_cap_is_refused_unread() -> None:
    class Huge:
        name, size_bytes = "huge", 1 << 34

        def read_at(self, offset: int, length: int) -> bytes:
            assert length <= limits.HEAD_BYTES
            return (struct.pack("<Q", 1 << 30) + b"{").ljust(length, b" ")[:length]

    with pytest.raises(LimitError, match="at most"):
        read_layout(Huge())


def test_long_metadata_is_cut_with_a_note() -> None:
    header = {"__metadata__": {"tags": "x" * 100_000, "format": "pt"}}
    layout = layout_of(safetensors_bytes(header))
    assert len(layout.metadata["tags"]) == limits.MAX_METADATA_VALUE_CHARS
    assert layout.metadata["format"] == "pt"
    assert any("cut" in note for note in layout.notes)


def test_invisible_characters_in_names_are_noted() -> None:
    layout = layout_of(safetensors_bytes({"a\u202eb": ONE["a"]}, bytes(8)))
    assert any("invisible" in note for note in layout.notes)


def test_a_text_file_is_not_taken_for_one() -> None:
    for text in (
        b"",
        b"abc",
        b'{"model_type": "bert"}',
        b"version https://git-lfs.github.com/spec/v1\n",
    ):
        with pytest.raises(UnknownFormatError):
            layout_of(text)
