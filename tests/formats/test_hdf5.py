"""HDF5: values equal h5py's for every type, layout and filter; hostile structures are refused."""

import io
import struct
from collections.abc import Callable
from typing import Any

import h5py
import ml_dtypes
import numpy as np
import pytest

from cairn.domain import DType, Layout, Role
from cairn.errors import LimitError, MalformedError
from cairn.formats import BytesSource
from cairn.formats.readers.hdf5 import Hdf5Reader
from cairn.formats.values import read_array
from cairn.testing.readers import ReaderConformance
from tests.formats.making import layout_of

VERSIONS: list[Any] = ["earliest", ("v108", "v108"), ("v110", "v110"), "latest"]
every_version = pytest.mark.parametrize("version", VERSIONS, ids=str)


def written(fill: Callable[[h5py.File], None], version: Any = "earliest", **options: Any) -> bytes:
    buffer = io.BytesIO()
    with h5py.File(buffer, "w", libver=version, **options) as file:
        fill(file)
    return buffer.getvalue()


def values(data: bytes, layout: Layout) -> dict[str, np.ndarray]:
    return {t.name: read_array(t, BytesSource(data)).tobytes() for t in layout.tensors}


def little(value: Any) -> bytes:
    array = np.asarray(value)
    return array.astype(array.dtype.newbyteorder("<")).tobytes()


def assert_equal_to_h5py(data: bytes, wanted: int) -> Layout:
    layout = layout_of(data)
    read = values(data, layout)
    with h5py.File(io.BytesIO(data)) as file:
        for tensor in layout.tensors:
            dataset = file[tensor.name.replace(".", "/")]
            assert read[tensor.name] == little(dataset[()]), tensor
            assert tensor.shape == dataset.shape
    assert len(layout.tensors) == wanted, layout.notes
    return layout


def small(file: h5py.File) -> None:
    file.attrs["keras_version"] = np.bytes_(b"3.15.1")
    file["layers/kernel"] = np.arange(12, dtype="f4").reshape(4, 3)


def chunked(file: h5py.File) -> None:
    file.create_dataset(
        "c", data=np.arange(35, dtype=">f4").reshape(5, 7), chunks=(2, 4), compression="gzip"
    )


class TestHdf5(ReaderConformance):
    reader = Hdf5Reader()

    @classmethod
    def make(cls) -> dict[str, bytes]:
        return {
            "empty": written(lambda file: None),
            "old groups": written(small),
            "new groups": written(small, "latest"),
            "chunks in a tree": written(chunked, ("v108", "v108")),
            "chunks in an array": written(chunked, "latest"),
        }


TYPES = [
    *("i1", "u1", "<i2", ">i2", "u2", "i4", ">u4", "i8", ">u8", "?"),
    *("<f2", ">f2", "f4", ">f4", "f8", ">f8", "<c8", ">c8", "c16"),
]


@every_version
def test_every_type_has_the_values_h5py_reads(version: Any) -> None:
    def fill(file: h5py.File) -> None:
        for kind in TYPES:
            array = np.arange(6) % 2 if kind == "?" else np.arange(6) - 3
            file[f"t{kind}"] = array.astype(kind).reshape(2, 3)

    assert_equal_to_h5py(written(fill, version), len(TYPES))


@every_version
@pytest.mark.parametrize("options", [{}, {"userblock_size": 512}, {"track_order": True}], ids=str)
def test_every_layout_and_filter_has_the_values_h5py_reads(version: Any, options: Any) -> None:
    array = np.arange(35, dtype="i4").reshape(5, 7)

    def fill(file: h5py.File) -> None:
        make = file.create_dataset
        make("contiguous", data=array)
        make("chunked", data=array, chunks=(2, 4))
        make("one_chunk", data=array, chunks=(5, 7))
        make("one_packed_chunk", data=array, chunks=(5, 7), compression="gzip")
        make("deflate", data=array, chunks=(2, 4), compression="gzip")
        make("shuffle", data=array, chunks=(3, 3), shuffle=True, compression="gzip")
        make("fletcher", data=array, chunks=(3, 3), fletcher32=True)
        make("all", data=array, chunks=(1, 7), compression=9, shuffle=True, fletcher32=True)
        make("many", data=np.arange(3000), chunks=(2,))
        make("written_in_part", shape=(50, 50), dtype="f4", chunks=(10, 10))[3:5, 3:5] = 1
        make("never_written", shape=(4, 5), dtype="f8")
        make("never_written_in_chunks", shape=(4, 5), dtype="f8", chunks=(2, 2))
        make("empty", data=np.zeros((0, 4)))
        make("scalar", data=2.5)
        properties = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        properties.set_layout(h5py.h5d.COMPACT)
        space = h5py.h5s.create_simple(array.shape)
        kind = h5py.h5t.py_create(array.dtype)
        compact = h5py.h5d.create(file.id, b"compact", kind, space, properties)
        compact.write(h5py.h5s.ALL, h5py.h5s.ALL, array)
        properties = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        properties.set_chunk((2, 4))
        properties.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
        implicit = h5py.h5d.create(file.id, b"implicit", kind, space, properties)
        implicit.write(h5py.h5s.ALL, h5py.h5s.ALL, array)

    assert_equal_to_h5py(written(fill, version, **options), 16)


@every_version
def test_half_precision_of_all_kinds_is_told_by_its_bits(version: Any) -> None:
    numbers = np.array([1.5, -2.0, 0.25])

    def fill(file: h5py.File) -> None:
        keras = file.create_dataset("keras", data=numbers.astype(ml_dtypes.bfloat16).view("V2"))
        keras.attrs["dtype"] = "bfloat16"
        brain = h5py.h5t.IEEE_F32LE.copy()
        brain.set_fields(15, 7, 8, 0, 7)
        brain.set_size(2)
        brain.set_ebias(127)
        space = h5py.h5s.create_simple((3,))
        made = h5py.h5d.create(file.id, b"own", brain, space)
        made.write(h5py.h5s.ALL, h5py.h5s.ALL, numbers.astype("f4"))

    data = written(fill, version)
    layout = layout_of(data)
    assert {t.name: t.dtype for t in layout.tensors} == dict.fromkeys(("keras", "own"), DType.BF16)
    raw = numbers.astype(ml_dtypes.bfloat16).tobytes()
    assert values(data, layout) == {"keras": raw, "own": raw}


@every_version
def test_large_groups_and_many_attributes_are_listed_whole(version: Any) -> None:
    def fill(file: h5py.File) -> None:
        for i in range(700):
            file[f"a_rather_long_name_of_a_layer_{i:03}" + "x" * (i % 40)] = np.float32(i)
        for i in range(100):
            file.attrs[f"attribute{i:02}"] = f"value {i}"

    layout = assert_equal_to_h5py(written(fill, version), 700)
    assert dict(layout.metadata) == {f"attribute{i:02}": f"value {i}" for i in range(100)}


@every_version
def test_attributes_become_metadata(version: Any) -> None:
    def fill(file: h5py.File) -> None:
        file.attrs["text"] = "grüße"
        file.attrs["fixed"] = np.bytes_(b"abc")
        file.attrs["number"] = 7
        file.attrs["half"] = np.float16(0.5)
        file.attrs["flag"] = True
        file.attrs["names"] = np.array([b"ab", b"c"])
        file.attrs["words"] = ["x", "yz"]
        file.attrs["many"] = np.arange(100)
        file["layer"] = np.ones(2)
        file["layer"].attrs["step"] = np.int64(3)

    assert dict(layout_of(written(fill, version)).metadata) == {
        "text": "grüße",
        "fixed": "abc",
        "number": 7,
        "half": 0.5,
        "flag": True,
        "names": "ab, c",
        "words": "x, yz",
        "many": "100 numbers",
        "layer.step": 3,
    }


@every_version
def test_what_is_no_tensor_is_said_in_words(version: Any) -> None:
    def fill(file: h5py.File) -> None:
        file["text"] = "hello"
        file["pairs"] = np.zeros(3, [("a", "i4"), ("b", "f4")])
        file["none"] = h5py.Empty("f4")
        file["ragged"] = np.array([np.ones(1), np.ones(2)], h5py.vlen_dtype("f8"))
        file["filled"] = np.ones(2)
        file.create_dataset("threes", shape=(5,), dtype="f4", fillvalue=3)
        file["soft"] = h5py.SoftLink("/filled")
        file["elsewhere"] = h5py.ExternalLink("other.h5", "/x")
        file["z_again"] = file["filled"]
        file["group/loop"] = file["/"]

    layout = layout_of(written(fill, version))
    assert [t.name for t in layout.tensors] == ["filled"]
    assert sorted(layout.notes) == [
        "'elsewhere' is a link (external) and is not followed",
        "'group.loop' is another name of 'the outermost group' and is left out",
        "'soft' is a link (soft) and is not followed",
        "'z_again' is another name of 'filled' and is left out",
        "dataset 'none' is left out: it is empty",
        "dataset 'pairs' is left out: it holds compound values",
        "dataset 'ragged' is left out: it holds values of varying length",
        "dataset 'text' is left out: it holds strings",
        "dataset 'threes' is left out: elements never written have another value than zero",
    ]


def test_a_filter_that_is_not_decoded_is_named_and_its_values_are_an_error() -> None:
    data = written(lambda f: f.create_dataset("w", data=np.zeros((50, 50)), compression="lzf"))
    layout = layout_of(data)
    assert layout.notes == ("dataset 'w' went through the filter LZF, which is not decoded",)
    with pytest.raises(MalformedError, match="hdf5 filter 32000"):
        values(data, layout)


def test_chunk_indexes_that_are_not_read_are_named() -> None:
    def fill(file: h5py.File) -> None:
        file.create_dataset("a", data=np.zeros((9, 9)), chunks=(3, 3), maxshape=(None, 9))
        file.create_dataset("b", data=np.zeros((9, 9)), chunks=(3, 3), maxshape=(None, None))

    layout = layout_of(written(fill, "latest"))
    assert not layout.tensors
    assert any("index type 4 (extensible array)" in note for note in layout.notes)
    assert any("index type 5 (version 2 B-tree)" in note for note in layout.notes)


def test_a_named_type_is_looked_up() -> None:
    def fill(file: h5py.File) -> None:
        file["kind"] = np.dtype(">f8")
        file.create_dataset("w", data=np.ones(3), dtype=file["kind"])

    assert_equal_to_h5py(written(fill), 1)


def test_the_oldest_layout_message_is_read() -> None:
    array = np.arange(4, dtype="f4")
    data = written(lambda file: file.create_dataset("w", data=array))
    (tensor,) = layout_of(data).tensors
    new = struct.pack("<BBQQ", 3, 1, tensor.span.start, 16).ljust(24, b"\0")
    old = struct.pack("<BBB5xQI", 1, 1, 1, tensor.span.start, 4).ljust(24, b"\0")
    assert data.count(new) == 1
    assert layout_of(data.replace(new, old)).tensors == (tensor,)


def test_keras_roles_follow_the_groups() -> None:
    def fill(file: h5py.File) -> None:
        for path in (
            *("model_weights/d/d/kernel:0", "model_weights/b/b/moving_mean:0"),
            *("optimizer_weights/Adam/iterations:0", "optimizer/vars/1"),
            *("layers/dropout/seed_generator/vars/0", "layers/dense/vars/0"),
        ):
            file[path] = np.ones(1)

    assert {t.name: t.role for t in layout_of(written(fill)).tensors} == {
        "model_weights.d.d.kernel:0": Role.WEIGHTS,
        "model_weights.b.b.moving_mean:0": Role.BUFFERS,
        "optimizer_weights.Adam.iterations:0": Role.OPTIMIZER,
        "optimizer.vars.1": Role.OPTIMIZER,
        "layers.dropout.seed_generator.vars.0": Role.RNG,
        "layers.dense.vars.0": Role.WEIGHTS,
    }


# --- hostile -------------------------------------------------------------------------------


def patched(data: bytes, at: int, new: bytes) -> bytes:
    return data[:at] + new + data[at + len(new) :]


def address(number: int) -> bytes:
    return number.to_bytes(8, "little")


OLD = written(small)
NEW = written(small, "latest")


def test_a_b_tree_that_contains_itself_is_refused() -> None:
    tree = OLD.index(b"TREE")
    inner = patched(patched(OLD, tree + 5, b"\x01"), tree + 32, address(tree))
    with pytest.raises(MalformedError, match="cycle"):
        layout_of(inner)


def test_a_chunk_tree_that_contains_itself_is_refused() -> None:
    data = written(chunked)
    tree = data.index(b"TREE\x01")
    inner = patched(patched(data, tree + 5, b"\x01"), tree + 24 + 32, address(tree))
    with pytest.raises(MalformedError, match="cycle"):
        layout_of(inner)


def test_a_header_that_continues_in_itself_is_refused() -> None:
    def fill(file: h5py.File) -> None:
        file.create_dataset("w", data=np.ones(1))
        for i in range(6):
            file["w"].attrs[f"a{i}"] = i

    data = written(fill)
    with h5py.File(io.BytesIO(data)) as file:
        header = h5py.h5o.get_info(file["w"].id).addr
    messages = header + 16
    place = data.index(struct.pack("<HHB3x", 0x10, 16, 0), messages)
    size = int.from_bytes(data[header + 8 : header + 12], "little")
    looped = patched(data, place + 8, address(messages) + address(size))
    with pytest.raises(MalformedError, match="cycle"):
        layout_of(looped)


@pytest.mark.parametrize("value", [len(OLD) - 1, 1 << 40, (1 << 64) - 2])
def test_a_local_heap_beyond_the_file_is_refused(value: int) -> None:
    heap = OLD.index(b"HEAP")
    with pytest.raises(MalformedError):
        layout_of(patched(OLD, heap + 24, address(value)))


@pytest.mark.parametrize("value", [120, 1 << 32, (1 << 64) - 1])
def test_a_name_beyond_its_heap_is_refused(value: int) -> None:
    leaf = OLD.index(b"SNOD")
    with pytest.raises(MalformedError):
        layout_of(patched(OLD, leaf + 8, address(value)))


@pytest.mark.parametrize("value", [0, 1 << 33, (1 << 64) - 1])
def test_a_global_heap_of_any_size_is_refused_or_bounded(value: int) -> None:
    data = written(lambda file: file.attrs.update(text="in a global heap"))
    heap = data.index(b"GCOL")
    with pytest.raises(MalformedError):
        layout_of(patched(data, heap + 8, address(value)))


def test_every_copy_of_a_string_in_a_global_heap_counts(monkeypatch) -> None:
    """Any number of attributes may refer to one long string."""

    def fill(file: h5py.File) -> None:
        for number in range(8):
            file.attrs[f"a{number}"] = "x" * 2000

    data = written(fill)
    monkeypatch.setattr("cairn.formats.hdf5_addresses.MAX_HDF5_STRUCTURE_BYTES", len(data) + 9000)
    with pytest.raises(LimitError):
        layout_of(data)


def test_a_dataset_reaching_past_the_end_is_refused() -> None:
    (tensor,) = layout_of(OLD).tensors
    at = OLD.index(address(tensor.span.start) + address(48))
    with pytest.raises(MalformedError, match="past the end"):
        layout_of(patched(OLD, at, address(len(OLD) - 47)))


def test_a_chunk_larger_than_the_file_is_refused() -> None:
    data = written(chunked)
    tree = data.index(b"TREE\x01")
    with pytest.raises(MalformedError, match="past the end"):
        layout_of(patched(data, tree + 24, b"\xff\xff\xff\x7f"))


def test_two_chunks_at_one_place_are_refused() -> None:
    data = written(chunked)
    tree = data.index(b"TREE\x01")
    entry = 32 + 8
    first = data[tree + 24 + 32 : tree + 24 + 40]
    with pytest.raises(MalformedError, match="two datasets or chunks"):
        layout_of(patched(data, tree + 24 + entry + 32, first))


def test_a_shape_of_which_nothing_is_written_cannot_be_large() -> None:
    data = written(lambda f: f.create_dataset("w", shape=(1 << 50,), dtype="f4"))
    layout = layout_of(data)
    assert not layout.tensors
    assert "never written" in layout.notes[0]


def test_an_implicit_index_cannot_name_more_chunks_than_fit() -> None:
    def fill(file: h5py.File) -> None:
        properties = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        properties.set_chunk((4,))
        properties.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
        space = h5py.h5s.create_simple((64,))
        h5py.h5d.create(file.id, b"w", h5py.h5t.IEEE_F32LE, space, properties)

    data = written(fill, "latest")
    shape = struct.pack("<BBBBQQ", 2, 1, 1, 1, 64, 64)
    assert data.count(shape) == 1
    with pytest.raises(LimitError, match="chunks"):
        layout_of(data.replace(shape, struct.pack("<BBBBQQ", 2, 1, 1, 1, 1 << 40, 64)))


@pytest.mark.parametrize("data", [OLD, NEW], ids=["old", "new"])
def test_a_file_whose_end_was_not_updated_is_refused(data: bytes) -> None:
    for tail in (data[:-1], data + b"\0"):
        with pytest.raises(MalformedError, match="truncated"):
            layout_of(tail)
