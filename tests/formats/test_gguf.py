"""GGUF files: what the gguf package writes is read alike, and nothing hostile is believed."""

import struct
import tempfile
from collections.abc import Callable
from pathlib import Path

import gguf
import numpy as np
import pytest
from gguf import GGMLQuantizationType as GgmlType
from gguf import GGUFEndian, GGUFReader, GGUFWriter

from cairn.domain import DType
from cairn.errors import LimitError, MalformedError, UnknownFormatError
from cairn.formats import BytesSource, read_layout
from cairn.formats.ggml_types import GGML_TYPES
from cairn.formats.readers.gguf import GgufReader
from cairn.formats.values import read_array
from cairn.testing.readers import CountingSource, ReaderConformance
from tests.formats.making import layout_of

# The package still counts 40 bytes for Q8_1, which ggml cut to 36 and never stored in a file.
SIZES = {t: s for t, s in gguf.GGML_QUANT_SIZES.items() if t is not GgmlType.Q8_1}


def written(fill: Callable[[GGUFWriter], None], arch: str = "llama", **options) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "x.gguf")
        writer = GGUFWriter(path, arch, **options)
        fill(writer)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
        return path.read_bytes()


def library(data: bytes) -> GGUFReader:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "x.gguf")
        path.write_bytes(data)
        return GGUFReader(path, "c")


def small_llama(writer: GGUFWriter) -> None:
    writer.add_block_count(2)
    writer.add_embedding_length(64)
    writer.add_head_count(4)
    writer.add_head_count_kv(2)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_tokenizer_model("gpt2")
    writer.add_token_list([f"token{i}" for i in range(40)])
    writer.add_token_types([1] * 40)
    writer.add_array("general.tags", ["a", "b"])
    writer.add_tensor("blk.0.attn_q.weight", np.arange(96, dtype=np.float32).reshape(12, 8))
    writer.add_tensor("blk.0.norm", np.ones(64, np.float32))
    writer.add_tensor(
        "blk.0.ffn", gguf.quantize(np.ones((8, 64), np.float32), GgmlType.Q4_0),
        raw_dtype=GgmlType.Q4_0,
    )  # fmt: skip


class TestGguf(ReaderConformance):
    reader = GgufReader()

    @classmethod
    def make(cls) -> dict[str, bytes]:
        return {
            "two tensors": written(
                lambda w: [w.add_tensor(n, np.ones((2, 8), np.float32)) for n in ("a", "b")]
            ),
            # Of a length that needs no padding: without it the file would be as valid.
            "no tensors": head(pairs=[("general.architecture", text("b" * 32))]),
            "big-endian": written(
                lambda w: w.add_tensor("a", np.ones(8, np.float32)), endianess=GGUFEndian.BIG
            ),
            "larger than a page": written(
                lambda w: w.add_tensor("w", np.ones((32, 64), np.float32))
            ),
            "keys": written(small_llama),
        }


def string(value: str | bytes) -> bytes:
    raw = value.encode() if isinstance(value, str) else value
    return struct.pack("<Q", len(raw)) + raw


def text(value: str) -> bytes:
    return struct.pack("<I", 8) + string(value)


def u32(value: int) -> bytes:
    return struct.pack("<II", 4, value)


def array(kind: int, count: int, body: bytes = b"") -> bytes:
    return struct.pack("<IIQ", 9, kind, count) + body


def info(name: str, dims: tuple[int, ...], kind: int = 0, offset: int = 0) -> bytes:
    raw = string(name) + struct.pack(f"<I{len(dims)}Q", len(dims), *dims)
    return raw + struct.pack("<IQ", kind, offset)


def head(pairs=(), infos=(), data=b"", version=3, n_tensors=None, n_pairs=None) -> bytes:
    counts = (
        len(infos) if n_tensors is None else n_tensors,
        len(pairs) if n_pairs is None else n_pairs,
    )
    raw = b"GGUF" + struct.pack("<IQQ", version, *counts)
    raw += b"".join(string(key) + value for key, value in pairs) + b"".join(infos)
    return raw + bytes(-len(raw) % 32) + data


@pytest.mark.parametrize("kind", sorted(SIZES), ids=lambda kind: kind.name)
def test_every_type_has_the_bytes_the_library_reads(kind: GgmlType) -> None:
    elements, size = SIZES[kind]
    raw = np.random.default_rng(kind).integers(0, 256, (3, 2 * size), np.uint8)
    data = written(lambda w: w.add_tensor("t", raw, raw_dtype=kind))
    (found,) = layout_of(data).tensors
    (tensor,) = library(data).tensors
    assert (found.dtype.label, found.dtype.block_elements, found.dtype.block_bytes) == (
        kind.name,
        elements,
        size,
    )
    assert found.shape == (3, 2 * elements) == tuple(int(n) for n in tensor.shape[::-1])
    assert data[found.span.start : found.span.stop] == raw.tobytes() == tensor.data.tobytes()


def test_every_type_of_the_library_is_known() -> None:
    assert {int(kind): kind.name for kind in GgmlType} == {
        number: dtype.label for number, dtype in GGML_TYPES.items()
    }


def test_offsets_and_shapes_are_those_the_library_reads() -> None:
    data = written(small_llama)
    assert {t.name: (t.span.start, t.shape) for t in layout_of(data).tensors} == {
        t.name: (t.data_offset, tuple(int(n) for n in t.shape[::-1])) for t in library(data).tensors
    }


def test_the_architecture_is_what_the_keys_say() -> None:
    found = layout_of(written(small_llama)).architecture
    assert (found.family, found.evidence) == ("llama", "GGUF key general.architecture")
    assert {key: fact.value for key, fact in found.facts.items()} == {
        "num_hidden_layers": 2,
        "hidden_size": 64,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "vocab_size": 40,
    }
    assert found.facts["hidden_size"].evidence == "GGUF key llama.embedding_length"
    assert found.facts["vocab_size"].evidence == "length of GGUF key tokenizer.ggml.tokens"
    assert found.config["attention.layer_norm_rms_epsilon"] == 1e-5


def test_heads_that_differ_by_layer_are_no_single_number() -> None:
    found = layout_of(written(lambda w: w.add_head_count([4, 8]))).architecture
    assert found.facts["num_attention_heads"].value is None
    assert "layer" in found.facts["num_attention_heads"].evidence


def test_metadata_holds_scalars_and_counts_long_arrays() -> None:
    metadata = layout_of(written(small_llama)).metadata
    assert metadata["tokenizer.ggml.tokens"] == "[40 values]"
    assert metadata["tokenizer.ggml.token_type"] == "[40 values]"
    assert (metadata["general.tags.0"], metadata["general.tags.1"]) == ("a", "b")
    assert metadata["tokenizer.ggml.model"] == "gpt2"


def test_every_kind_of_value_is_read_as_the_library_reads_it() -> None:
    def fill(writer: GGUFWriter) -> None:
        for kind, value in (
            *(("uint8", 200), ("int8", -3), ("uint16", 60_000), ("int16", -30_000)),
            *(("uint32", 2**32 - 1), ("int32", -(2**31)), ("uint64", 2**64 - 1)),
            *(("int64", -(2**63)), ("float32", 0.1), ("float64", 0.1), ("bool", True)),
        ):
            getattr(writer, f"add_{kind}")(f"x.{kind}", value)

    for endian in GGUFEndian:
        data = written(fill, endianess=endian)
        found, fields = layout_of(data).metadata, library(data).fields
        for key in (key for key in fields if key.startswith("x.")):
            assert np.float32(found[key]) == np.float32(fields[key].contents())


def test_big_endian_values_come_out_in_the_order_of_this_machine() -> None:
    values = np.array([[1.5, -2], [3, 1e9]], np.float32)
    data = written(lambda w: w.add_tensor("a", values), endianess=GGUFEndian.BIG)
    (found,) = layout_of(data).tensors
    assert found.big_endian
    assert read_array(found, BytesSource(data)).tobytes() == values.tobytes()


def test_big_endian_quantised_tensors_are_said_not_to_be_decoded() -> None:
    raw = gguf.quantize(np.ones((1, 32), np.float32), GgmlType.Q8_0)
    data = written(
        lambda w: w.add_tensor("a", raw, raw_dtype=GgmlType.Q8_0), endianess=GGUFEndian.BIG
    )
    assert any("not decoded" in note for note in layout_of(data).notes)


def test_version_2_is_version_3_by_another_number() -> None:
    data = written(small_llama)
    older = data[:4] + struct.pack("<I", 2) + data[8:]
    assert layout_of(older).tensors == layout_of(data).tensors


def test_another_alignment_is_followed() -> None:
    def fill(writer: GGUFWriter) -> None:
        writer.add_custom_alignment(256)
        writer.add_tensor("a", np.ones(3, np.float32))
        writer.add_tensor("b", np.ones(5, np.float32))

    data = written(fill)
    assert [t.span.start for t in layout_of(data).tensors] == [
        t.data_offset for t in library(data).tensors
    ]


def test_padding_after_the_last_tensor_may_be_missing() -> None:
    data = head(infos=[info("a", (2,))], data=bytes(8))
    assert layout_of(data).tensors == layout_of(data + bytes(24)).tensors
    with pytest.raises(MalformedError, match="the file has"):
        layout_of(data + bytes(23))


def test_a_large_vocabulary_is_walked_over_in_few_reads() -> None:
    tokens = [f"token number {i}" for i in range(60_000)]
    source = CountingSource(BytesSource(written(lambda w: w.add_token_list(tokens))))
    assert read_layout(source).architecture.facts["vocab_size"].value == 60_000
    assert len(source.reads) < 60


ONE = info("a", (8,))


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (head(infos=[ONE], data=bytes(31)), "the file has"),
        (head(n_tensors=2**63), "do not fit"),
        (head(n_pairs=2**64 - 1), "do not fit"),
        (head(pairs=[("k", array(0, 2**64 - 1))]), "do not fit"),
        (head(pairs=[("k", array(12, 2**61))]), "do not fit"),
        (head(pairs=[("k", array(8, 2**60))]), "do not fit"),
        (head(pairs=[("k", array(8, 20, bytes(8 * 19) + struct.pack("<Q", 2**63)))]), "ends"),
        (head(pairs=[("k", struct.pack("<IQ", 8, 2**40))]), "do not fit"),
        (head(pairs=[("k", struct.pack("<I", 13))]), "value type 13"),
        (head(pairs=[("k", array(13, 1))]), "element type 13"),
        (head(pairs=[("k", struct.pack("<IB", 7, 2))]), "boolean"),
        (head(pairs=[("k", u32(1)), ("k", u32(2))]), "twice"),
        (head(pairs=[("general.alignment", u32(0))]), "power of two"),
        (head(pairs=[("general.alignment", u32(24))]), "power of two"),
        (head(pairs=[("general.alignment", text("32"))]), "not a u32"),
        (head(infos=[ONE, ONE], data=bytes(64)), "named"),
        (head(infos=[ONE, info("b", (8,))], data=bytes(64)), "overlaps"),
        (head(infos=[info("a", (8,), offset=4)], data=bytes(36)), "multiple of 32"),
        (head(infos=[info("a", (8,), offset=2**63)], data=bytes(32)), "the file has"),
        (head(infos=[info("a", (2**64 - 1,))]), "overflows"),
        (head(infos=[info("a", (2**32, 2**32))]), "overflows"),
        (head(infos=[info("a", (8,), kind=99)]), "type 99"),
        (head(infos=[info("a", (8,), kind=31)]), "Q4_0_4_4 was removed"),
        (head(infos=[info("a", (33,), kind=2)], data=bytes(36)), "fill blocks of 32"),
        (head(version=4), "version 4"),
        (head(pairs=[(b"\xff", u32(1))]), "UTF-8"),
        (head(infos=[string("a") + struct.pack("<I", 5) + bytes(100)]), "5 axes, at most 4"),
    ],
)
def test_an_impossible_file_is_refused(data: bytes, why: str) -> None:
    with pytest.raises(MalformedError, match=why):
        layout_of(data)


def test_bombs_of_nesting_and_names_are_refused() -> None:
    nested = struct.pack("<I", 9) + struct.pack("<IQ", 9, 1) * 10 + struct.pack("<IQ", 0, 0)
    for data in (
        head(pairs=[("k", nested)]),
        head(pairs=[("k" * 5000, u32(1))]),
    ):
        with pytest.raises(LimitError):
            layout_of(data)


def test_version_1_is_named() -> None:
    with pytest.raises(UnknownFormatError, match="version 1"):
        layout_of(head(version=1))


def test_a_gap_between_tensors_is_noted() -> None:
    data = head(infos=[ONE, info("b", (8,), offset=96)], data=bytes(128))
    assert any("between tensors" in note for note in layout_of(data).notes)


def test_a_tensor_without_elements_takes_no_bytes() -> None:
    data = head(infos=[info("a", (0, 2**40)), info("b", (8,))], data=bytes(32))
    found = {t.name: t for t in layout_of(data).tensors}
    assert (found["a"].shape, found["a"].dtype) == ((2**40, 0), DType.F32)


def test_a_long_chat_template_is_cut() -> None:
    data = head(pairs=[("tokenizer.chat_template", text("é" * 100_000))])
    source = CountingSource(BytesSource(data))
    layout = read_layout(source)
    assert len(layout.metadata["tokenizer.chat_template"]) == 4096
    assert any("cut" in note for note in layout.notes)
