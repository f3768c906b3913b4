"""TensorFlow's checkpoints and saved models: names, values, slices; hostile tables are refused."""

from contextlib import nullcontext
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest

from cairn.domain import Role, Source
from cairn.errors import LimitError, MalformedError
from cairn.formats import BytesSource, read_layout
from cairn.formats.readers.tensorflow_bundle import TensorflowBundleReader
from cairn.formats.readers.tensorflow_saved_model import SavedModelReader
from cairn.formats.tensorflow_names import slice_key
from cairn.formats.values import read_array
from cairn.testing.readers import ReaderConformance
from cairn.workflows.inspect import read_path
from tests.formats.making import layout_of
from tests.formats.tensorflow_files import (
    MAGIC,
    NUMBERS,
    block,
    checkpoint,
    entry,
    field,
    header,
    table,
    varint,
)

KERNEL = np.arange(12, dtype="f4").reshape(3, 4)
LAYER = "layer_with_weights-0"
SUFFIX = "/.ATTRIBUTES/VARIABLE_VALUE"


def saved_model(*operations: str) -> bytes:
    """A SavedModel of one graph, with the last operation in a function of its library."""
    nodes = b"".join(field(1, field(1, b"n") + field(2, op.encode())) for op in operations[:-1])
    inside = field(3, field(1, b"n") + field(2, operations[-1].encode()))
    library = field(2, field(1, field(1, field(1, b"f")) + inside))
    meta = field(1, field(4, b"serve") + field(5, b"2.21.0"))
    signature = field(5, field(1, b"serving_default") + field(2, b""))
    return field(1, 1) + field(2, meta + field(2, nodes + library) + signature)


class TestBundle(ReaderConformance):
    reader = TensorflowBundleReader()

    @classmethod
    def make(cls) -> dict[str, bytes]:
        names = [f"{LAYER}/kernel{SUFFIX}", f"{LAYER}/bias{SUFFIX}", "save_counter"]
        return {
            "one block": checkpoint(dict.fromkeys(names, KERNEL))[0],
            "many blocks": checkpoint(dict.fromkeys(names, KERNEL), shards=3, per_block=1)[0],
            "slices": sliced()[0],
        }


class TestSavedModel(ReaderConformance):
    reader = SavedModelReader()

    @classmethod
    def make(cls) -> dict[str, bytes]:
        return {"two nodes and a function": saved_model("Const", "MatMul", "ReadFile")}


def sliced() -> tuple[bytes, bytes]:
    """An index whose one tensor lies in two slices, with its data."""
    rows = [((0, 2), (0, None)), ((2, 1), (0, None))]
    entries = {b"": header(), b"emb": entry(1, (3, 4), 0, 0, slices=rows)}
    for (start, count), columns in rows:
        key = slice_key("emb", ((start, count), (columns[0], -1)))
        entries[key] = entry(1, (count, 4), start * 16, count * 16)
    return table(entries), KERNEL.tobytes()


def values(index: bytes, data: list[bytes]) -> dict[str, bytes]:
    layout = read_layout(BytesSource(index, "folder/model.ckpt.index"))
    files = {
        f"model.ckpt.data-{at:05}-of-{len(data):05}": BytesSource(raw)
        for at, raw in enumerate(data)
    }

    def open_part(path: str) -> Any:
        source: Source = files[path]
        return nullcontext(source)

    return {t.name: read_array(t, None, open_part).tobytes() for t in layout.tensors}


@pytest.mark.parametrize("shards", [1, 3])
@pytest.mark.parametrize("big_endian", [False, True])
def test_every_dtype_has_the_values_written(shards: int, big_endian: bool) -> None:
    arrays: dict[str, Any] = {str(k): (np.arange(6) % 2).astype(k).reshape(2, 3) for k in NUMBERS}
    arrays |= {"scalar": np.float32(2.5), "empty": np.zeros((0, 3), "f4")}
    if big_endian:
        for kind in (ml_dtypes.bfloat16, ml_dtypes.float8_e5m2, ml_dtypes.float8_e4m3fn):
            arrays.pop(str(np.dtype(kind)))  # NumPy cannot swap their bytes
    found = values(*checkpoint(arrays, shards=shards, big_endian=big_endian))
    assert found == {name: np.asarray(a).tobytes() for name, a in arrays.items()}


def test_many_names_with_shared_beginnings_are_listed_whole() -> None:
    arrays = {f"layer_{at:04}/kernel": np.float32(at) for at in range(1000)}
    found = values(*checkpoint(arrays, per_block=37))
    assert found == {name: a.tobytes() for name, a in arrays.items()}


def test_a_tensor_in_slices_is_put_together() -> None:
    index, data = sliced()
    assert values(index, [data]) == {"emb": KERNEL.tobytes()}


@pytest.mark.parametrize(
    ("number", "raw"),
    [
        # From the tests of TensorFlow's ordered_code.cc and its definition of the lengths.
        *((0, b"\x80"), (-1, b"\x7f"), (63, b"\xbf"), (-64, b"\x40"), (64, b"\xc0\x40")),
        *((-65, b"\x3f\xbf"), (8191, b"\xdf\xff"), (8192, b"\xe0\x20\x00")),
    ],
)
def test_numbers_in_keys_of_slices_are_written_in_order(number: int, raw: bytes) -> None:
    assert slice_key("", ((number, number),)) == b"\0" + b"\0\1" + b"\1\1" + raw + raw


def test_roles_follow_the_paths() -> None:
    roles = {
        f"model/{LAYER}/kernel{SUFFIX}": Role.WEIGHTS,
        f"model/{LAYER}/kernel/.OPTIMIZER_SLOT/optimizer/m{SUFFIX}": Role.OPTIMIZER,
        f"optimizer/_variables/2{SUFFIX}": Role.OPTIMIZER,
        f"optimizer/_trainable_variables/0{SUFFIX}": Role.WEIGHTS,
        f"save_counter{SUFFIX}": Role.METADATA,
        "global_step": Role.METADATA,
        "w/Adam_1": Role.OPTIMIZER,
        "beta1_power": Role.OPTIMIZER,
        "bn/moving_mean": Role.BUFFERS,
        "w/ExponentialMovingAverage": Role.EMA,
    }
    layout = layout_of(checkpoint(dict.fromkeys(roles, KERNEL))[0])
    assert {t.name: t.role for t in layout.tensors} == roles


def test_strings_are_left_out_with_a_note_and_the_object_graph_without() -> None:
    entries = {
        b"": header(),
        b"_CHECKPOINTABLE_OBJECT_GRAPH": entry(7, (), 0, 10),
        b"words": entry(7, (2,), 0, 10),
    }
    layout = layout_of(table(entries))
    assert layout.tensors == ()
    assert layout.notes == ("'words' holds strings and is left out",)


def test_a_checkpoint_on_disk_is_read_with_its_data_files(tmp_path: Path) -> None:
    index, data = checkpoint({"a": KERNEL, "b": KERNEL + 1}, shards=2)
    (tmp_path / "m.index").write_bytes(index)
    for at, raw in enumerate(data):
        (tmp_path / f"m.data-{at:05}-of-00002").write_bytes(raw)
    for path in (tmp_path, tmp_path / "m.index"):
        found = read_path(path)
        read = {
            t.name: b"".join(map(bytes, found.blocks(p, t))) for p, t in found.checkpoint.tensors()
        }
        assert read == {"a": KERNEL.tobytes(), "b": (KERNEL + 1).tobytes()}


def test_a_data_file_cut_short_is_an_error_when_values_are_read(tmp_path: Path) -> None:
    index, data = checkpoint({"a": KERNEL})
    with pytest.raises(MalformedError):
        values(index, [data[0][:-1]])


def test_a_saved_model_counts_its_operations_and_names_what_touches_the_machine() -> None:
    layout = layout_of(saved_model("Const", "MatMul", "MatMul", "PyFunc", "ReadFile"))
    assert layout.metadata["operations.MatMul"] == 2
    assert layout.metadata["operations.ReadFile"] == 1
    assert layout.metadata["signatures"] == "serving_default"
    assert layout.metadata["tensorflow_version"] == "2.21.0"
    assert layout.metadata["tags"] == "serve"
    assert layout.notes == (
        "its graph has the operation PyFunc (1 times), which runs Python code when the model runs",
        "its graph has the operation ReadFile (1 times), which reads files when the model runs",
    )


def test_the_side_files_of_a_saved_model_are_no_unread_checkpoints(tmp_path: Path) -> None:
    (tmp_path / "saved_model.pb").write_bytes(saved_model("Const", "MatMul"))
    (tmp_path / "fingerprint.pb").write_bytes(b"\x08\x01\x10\x02")
    checkpoint_found = read_path(tmp_path).checkpoint
    assert checkpoint_found.unread == {}
    assert checkpoint_found.formats == ("tensorflow-saved-model",)


# --- hostile -------------------------------------------------------------------------------


def footer(index_at: int, index_bytes: int) -> bytes:
    handles = varint(0) + varint(0) + varint(index_at) + varint(index_bytes)
    return handles.ljust(40, b"\0") + MAGIC


def around(raw: bytes, handles: list[tuple[int, int]]) -> bytes:
    """A table whose data is `raw` and whose index names any places."""
    listed = block([(b"k%03d" % n, varint(a) + varint(b)) for n, (a, b) in enumerate(handles)], 1)
    return raw + listed + bytes(5) + footer(len(raw), len(listed))


def test_a_block_that_is_named_twice_is_refused() -> None:
    raw = block([(b"", header()), (b"a", entry(1, (), 0, 4))])
    assert len(layout_of(around(raw + bytes(5), [(0, len(raw))])).tensors) == 1
    with pytest.raises(MalformedError, match="overlap"):
        layout_of(around(raw + bytes(5), [(0, len(raw))] * 1000))


@pytest.mark.parametrize("handle", [(0, 1 << 62), (1 << 62, 5), (40, 4)])
def test_a_block_outside_the_table_is_refused(handle: tuple[int, int]) -> None:
    raw = block([(b"", header())]) + bytes(5)
    with pytest.raises(MalformedError):
        layout_of(around(raw, [handle]))


def test_keys_that_grow_by_what_they_share_are_bounded() -> None:
    """5 bytes of an entry make a key of any length of what the key before had."""
    raw = varint(0) + varint(0) + varint(len(header())) + header()
    raw += varint(0) + varint(16_000) + varint(0) + b"k" * 16_000
    for at in range(16_000, 18_000):
        raw += varint(at) + varint(1) + varint(0) + b"k"
    raw += (0).to_bytes(4, "little") + (1).to_bytes(4, "little")
    with pytest.raises(LimitError, match="too long"):
        layout_of(around(raw + bytes(5), [(0, len(raw))]))


def test_a_compressed_block_is_refused_in_words() -> None:
    with pytest.raises(LimitError, match="Snappy"):
        layout_of(table({b"": header(), b"a": entry(1, (), 0, 4)}, kind=1))


def test_keys_out_of_order_are_refused() -> None:
    raw = block([(b"", header()), (b"b", entry(1, (), 0, 4)), (b"a", entry(1, (), 0, 4))])
    with pytest.raises(MalformedError, match="order"):
        layout_of(around(raw + bytes(5), [(0, len(raw))]))


@pytest.mark.parametrize(
    "raw",
    [
        entry(1, (2,), 0, 7),
        entry(1, (1 << 62, 1 << 62), 0, 4),
        entry(1, (-1,), 0, 4),
        entry(1, (1,) * 65, 0, 4),
        entry(1, (), (1 << 64) - 2, 4),
        entry(1, (), 0, 4, shard=1),
        entry(1, (3, 4), 0, 0, slices=[((0, 2), (0, None))]),
        entry(1, (4,), 0, 0, slices=[((0, 2), (0, None))]),
    ],
)
def test_an_entry_that_contradicts_itself_is_refused(raw: bytes) -> None:
    with pytest.raises(MalformedError):
        layout_of(table({b"": header(), b"a": raw}))


@pytest.mark.parametrize("first", [field(1, 0), field(1, 1 << 40), b""])
def test_a_number_of_data_files_that_makes_no_sense_is_refused(first: bytes) -> None:
    with pytest.raises(MalformedError):
        layout_of(table({b"": first, b"a": entry(1, (), 0, 4)}))


def test_another_leveldb_table_is_no_checkpoint() -> None:
    with pytest.raises(MalformedError, match="no header"):
        layout_of(table({b"key": b"value"}))
