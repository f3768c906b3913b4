"""The built-in codecs: the conformance suite, and what each is for."""

import numpy as np
import pytest

from cairn.domain import DType
from cairn.errors import IntegrityError
from cairn.store.codecs import CODECS, PlanesCodec, RawCodec, ZstdCodec
from cairn.store.solo import encode_alone
from cairn.store.zstd_library import HuffmanMode, compress, compress_huffman, decompress_into
from cairn.testing.codecs import CodecSuite


class TestRaw(CodecSuite):
    codec = RawCodec()


class TestZstd(CodecSuite):
    codec = ZstdCodec()


class TestPlanes(CodecSuite):
    codec = PlanesCodec()


def ratio(plain: bytes, dtype: DType | None) -> tuple[str, float]:
    encoded = encode_alone(plain, b"\0" * 32, dtype, CODECS)
    return encoded.codec, len(encoded.stored) / len(plain)


RNG = np.random.default_rng(7)
WEIGHTS = RNG.normal(0, 0.02, 300_000).astype("<f4")


@pytest.mark.parametrize(
    ("dtype", "plain", "at_most"),
    [  # bounds measured on MiniLM and normal weights, see docs/store.md
        (DType.F32, WEIGHTS.tobytes(), 0.84),
        (DType.BF16, (WEIGHTS.view("<u4") >> 16).astype("<u2").tobytes(), 0.68),
        (DType.F16, WEIGHTS.astype("<f2").tobytes(), 0.92),
        (DType.C64, WEIGHTS.tobytes(), 0.84),
        (DType.I64, np.arange(100_000, dtype="<i8").tobytes(), 0.01),
        (DType.F32, bytes(400_000), 0.001),
        (DType.F8_E4M3, np.minimum(RNG.poisson(40, 200_000), 255).astype("u1").tobytes(), 0.9),
    ],
)
def test_planes_shrink_tensors(dtype: DType, plain: bytes, at_most: float) -> None:
    name, found = ratio(plain, dtype)
    assert name == "planes"
    assert found <= at_most


def test_zero_rows_of_optimizer_state_cost_almost_nothing() -> None:
    state = np.zeros((1000, 384), "<f4")
    state[:100] = RNG.normal(0, 1e-4, (100, 384))
    assert ratio(state.tobytes(), DType.F32)[1] < 0.1


def test_text_goes_to_zstd_and_noise_stays_raw() -> None:
    assert ratio(b'{"hidden_size": 384, "layers": 6}\n' * 300, None)[0] == "zstd"
    assert ratio(RNG.bytes(300_000), None) == ("raw", 1.0)
    assert ratio(RNG.bytes(300_000), DType.F32) == ("raw", 1.0)


def test_the_installed_zstd_is_a_huffman_coder() -> None:
    assert HuffmanMode.works()


def test_without_the_huffman_mode_frames_are_plain_zstd(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(HuffmanMode, "_works", False)
    plain = WEIGHTS.tobytes()
    stored = PlanesCodec().encode(memoryview(plain), DType.F32)
    out = bytearray(len(plain))
    assert stored is not None
    PlanesCodec().decode_into(memoryview(stored), memoryview(out), DType.F32)
    assert out == plain
    assert compress_huffman(b"a" * 1000) == __import__("backports.zstd").zstd.compress(
        b"a" * 1000, level=1
    )


def test_a_frame_must_fill_its_room_exactly() -> None:
    plain = WEIGHTS.tobytes()
    frame = compress(plain, 3)
    out = bytearray(len(plain))
    decompress_into(memoryview(frame), memoryview(out))
    assert out == plain
    for wrong in (frame[:-50], frame[:3], b"", b"no frame at all", compress(plain[1:], 3)):
        with pytest.raises(IntegrityError, match="zstd frame"):
            decompress_into(memoryview(wrong), memoryview(bytearray(len(plain))))
    room = bytearray(len(plain))
    with pytest.raises(IntegrityError, match="does not hold"):
        decompress_into(memoryview(frame), memoryview(room)[:-1])
    assert room[-1] == 0  # nothing was written past it


def test_a_frame_that_asks_for_gigabytes_is_refused() -> None:
    # RFC 8878, 3.1.1: magic, a descriptor without a content size, and a window of 2^41 bytes.
    bomb = b"\x28\xb5\x2f\xfd\x00\xf8" + b"\x01\x00\x00"
    with pytest.raises(IntegrityError, match="does not decode"):
        decompress_into(memoryview(bomb), memoryview(bytearray(10)))
