"""What every codec must do; subclass `CodecSuite`, give it the codec, inherit its tests.

class TestMine(CodecSuite):
    codec = MyCodec()
"""
# ruff: noqa: D102 - the names of tests are sentences

import struct
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cairn.domain import DType
from cairn.errors import IntegrityError
from cairn.store.codec import MAX_NAME_BYTES, Codec
from cairn.store.cutting import MAX_PART_BYTES

_GUARD = 64  # bytes around the output that a decoder must not touch
_SETTINGS = settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.differing_executors, HealthCheck.too_slow],
)
_SPECIAL_F32 = [
    0.0, -0.0, float("inf"), float("-inf"), float("nan"), 1e-45, -1e-45, 1.1754944e-38, 3.4e38,
]  # fmt: skip

dtypes = st.sampled_from([None, *DType])
seeds = st.integers(0, 2**32 - 1)


def sample_parts(seed: int) -> dict[str, bytes]:
    """Contents that parts have in practice, and ones meant to break codecs."""
    rng = np.random.default_rng(seed)
    weights = rng.normal(0, 0.02, 30_000).astype("<f4")
    special = np.resize(np.array(_SPECIAL_F32, dtype="<f4"), 5_000)
    return {
        "empty": b"",
        "one byte": b"\x80",
        "float32 weights": weights.tobytes(),
        "bfloat16 weights": (weights.view("<u4") >> 16).astype("<u2").tobytes(),
        "float16 weights": weights.astype("<f2").tobytes(),
        "float64 weights": weights.astype("<f8").tobytes(),
        "special values": special.tobytes(),
        "NaNs of every payload": rng.integers(0x7F800001, 0x7FFFFFFF, 4_000, dtype="<u4").tobytes(),
        "zeros": bytes(100_000),
        "zero rows between": np.where(rng.random(20_000) < 0.1, weights[:20_000], 0).tobytes(),
        "noise": rng.bytes(50_001),
        "positions": np.arange(8_192, dtype="<i8").tobytes(),
        "text": b'{"model_type": "bert", "hidden_size": 384}\n' * 500,
        "odd length": weights.tobytes()[: rng.integers(1, 4_000) * 4 + 3],
    }


class CodecSuite:
    """Round trips, honesty about size, and behaviour on damaged input."""

    codec: Codec

    def _round_trip(self, plain: bytes, dtype: DType | None) -> None:
        stored = self.codec.encode(memoryview(plain), dtype)
        if stored is not None:
            assert self._decoded(stored, len(plain), dtype) == plain

    def _decoded(self, stored: bytes, plain_bytes: int, dtype: DType | None) -> bytes:
        """Decode into the middle of a larger buffer and check that the rest is untouched."""
        buffer = bytearray(b"\xa5" * (plain_bytes + 2 * _GUARD))
        view = memoryview(buffer)
        self.codec.decode_into(memoryview(stored), view[_GUARD : _GUARD + plain_bytes], dtype)
        assert buffer[:_GUARD] == buffer[_GUARD + plain_bytes :] == b"\xa5" * _GUARD
        return bytes(buffer[_GUARD : _GUARD + plain_bytes])

    def test_its_name_fits_a_pack_record(self) -> None:
        assert self.codec.name.isascii()
        assert 0 < len(self.codec.name) <= MAX_NAME_BYTES

    @given(data=st.binary(max_size=5_000), dtype=dtypes, repeats=st.integers(1, 40))
    @_SETTINGS
    def test_any_bytes_come_back(self, data: bytes, dtype: DType | None, repeats: int) -> None:
        self._round_trip(data * repeats, dtype)

    @given(seed=seeds, dtype=dtypes)
    @_SETTINGS
    def test_tensors_of_every_dtype_come_back(self, seed: int, dtype: DType | None) -> None:
        for plain in sample_parts(seed).values():
            self._round_trip(plain, dtype)

    @pytest.mark.parametrize("dtype", [DType.F32, DType.BF16, DType.F64, DType.U8, None])
    def test_the_largest_part_comes_back(self, dtype: DType | None) -> None:
        weights = np.random.default_rng(0).normal(0, 0.02, MAX_PART_BYTES // 4).astype("<f4")
        self._round_trip(weights.tobytes(), dtype)

    @given(seed=seeds, dtype=dtypes)
    @_SETTINGS
    def test_an_encoding_never_takes_more_than_the_bytes_themselves(
        self, seed: int, dtype: DType | None
    ) -> None:
        for plain in sample_parts(seed).values():
            stored = self.codec.encode(memoryview(plain), dtype)
            assert stored is None or len(stored) <= len(plain)

    @given(seed=seeds, dtype=dtypes, data=st.data())
    @_SETTINGS
    def test_damage_is_an_integrity_error_or_wrong_bytes_never_worse(
        self, seed: int, dtype: DType | None, data: st.DataObject
    ) -> None:
        name = data.draw(st.sampled_from(sorted(sample_parts(0))))
        plain = sample_parts(seed)[name]
        stored = self.codec.encode(memoryview(plain), dtype)
        if not stored:
            return
        damaged = bytearray(stored)
        at = data.draw(st.integers(0, len(stored) - 1))
        match data.draw(st.sampled_from(["flip", "cut", "extend", "length"])):
            case "flip":
                damaged[at] ^= data.draw(st.integers(1, 255))
            case "cut":
                del damaged[at:]
            case "extend":
                damaged += b"\0" * (at + 1)
            case "length":
                damaged[at : at + 4] = struct.pack("<I", 2**32 - 1)
        with suppress(IntegrityError):
            self._decoded(bytes(damaged), len(plain), dtype)

    @given(garbage=st.binary(max_size=300), plain_bytes=st.integers(0, 1_000), dtype=dtypes)
    @_SETTINGS
    def test_garbage_is_an_integrity_error_or_wrong_bytes_never_worse(
        self, garbage: bytes, plain_bytes: int, dtype: DType | None
    ) -> None:
        with suppress(IntegrityError):
            self._decoded(garbage, plain_bytes, dtype)

    @given(seed=seeds, dtype=dtypes)
    @settings(_SETTINGS, max_examples=15)
    def test_the_wrong_plain_length_is_an_integrity_error(
        self, seed: int, dtype: DType | None
    ) -> None:
        for plain in sample_parts(seed).values():
            stored = self.codec.encode(memoryview(plain), dtype)
            if stored is None:
                continue
            for wrong in (len(plain) + 1, len(plain) + 8, len(plain) // 2):
                if wrong != len(plain):
                    with pytest.raises(IntegrityError):
                        self._decoded(stored, wrong, dtype)
