"""F8 copies: the predictor against PyTorch, and files of them beside what they were cast from."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from cairn.domain import DType
from cairn.errors import IntegrityError
from cairn.store import BlobStore, open_local_store
from cairn.store.predictors import CastF8Predictor
from cairn.store.predictors.cast_f8 import cast_f8_params
from cairn.testing.predictors import Case, PredictorSuite, prediction
from tests.store.making import shaped_safetensors
from tests.store.test_bytes import taken_after
from tests.store.test_derived import halves, keep

TORCH = {DType.F8_E4M3: torch.float8_e4m3fn, DType.F8_E5M2: torch.float8_e5m2}
SOURCES = {DType.F32: torch.float32, DType.BF16: torch.bfloat16, DType.F16: torch.float16}
every_target = pytest.mark.parametrize("target", TORCH)


class TestCastF8(PredictorSuite):
    predictor = CastF8Predictor()

    def cases(self, seed: int) -> Iterator[Case]:
        rng = np.random.default_rng(seed)
        for source in SOURCES:
            for target in TORCH:
                bases = [rng.bytes(60 * source.block_bytes), rng.bytes(40 * source.block_bytes)]
                yield Case(cast_f8_params(source, target) or b"", bases, 100, target)


def cast(raw: np.ndarray, source: DType, target: DType) -> np.ndarray:
    params = cast_f8_params(source, target) or b""
    return np.frombuffer(
        prediction(CastF8Predictor(), Case(params, [raw.tobytes()], len(raw), target)), np.uint8
    )


@every_target
def test_float32_rounds_as_torch_rounds_it(target: DType) -> None:
    """Random bits, and everything around the places where rounding turns."""
    around = np.arange(0x3600, 0x4800, dtype="<u4") << 16
    near = (around[:, None] + np.array([0, 1, 0x7FFF, 0x8000, 0xFFFF], "<u4")).ravel()
    drawn = np.random.default_rng(1).integers(0, 2**32, 400_000, dtype=np.uint64)
    bits = np.concatenate([near, near | np.uint32(1 << 31), drawn.astype("<u4")]).astype("<u4")
    bits = bits[(bits & 0x7FFFFFFF) < 0x7F800000]
    theirs = torch.from_numpy(bits.view("<f4").copy()).to(TORCH[target]).view(torch.uint8).numpy()
    assert np.array_equal(cast(bits, DType.F32, target), theirs)


@every_target
@pytest.mark.parametrize("source", [DType.BF16, DType.F16])
def test_every_half_rounds_as_torch_rounds_it(source: DType, target: DType) -> None:
    every = np.arange(1 << 16, dtype="<u2")
    values = torch.from_numpy(every.view("<i2").copy()).view(SOURCES[source])
    finite = torch.isfinite(values).numpy()
    theirs = values.to(TORCH[target]).view(torch.uint8).numpy()
    assert np.array_equal(cast(every, source, target)[finite], theirs[finite])


@every_target
def test_what_is_no_number_stays_none_and_infinities_are_the_largest(target: DType) -> None:
    bits = np.array([0x7F800000, 0xFF800000, 0x7FC00000, 0x7F800001, 0xFFFFFFFF], "<u4")
    top = 0x7E if target is DType.F8_E4M3 else 0x7C
    assert cast(bits, DType.F32, target).tolist() == [top, top | 0x80, 0x7F, 0x7F, 0xFF]


def test_what_it_makes_never_changes() -> None:
    raw = hashlib.shake_256(b"cast-f8").digest(60_000)
    made = [
        cast(np.frombuffer(raw, f"<u{source.block_bytes}"), source, target).tobytes()
        for source in SOURCES
        for target in TORCH
    ]
    assert hashlib.sha256(b"".join(made)).hexdigest()[:16] == "de23d5f12106454b"


@pytest.mark.parametrize(
    ("params", "dtype"),
    [(b"", DType.F8_E4M3), (b"\4", DType.F8_E4M3), (b"\1", DType.I8), (b"\1", None)],
)
def test_what_cannot_be_cast_is_damage(params: bytes, dtype: DType | None) -> None:
    with pytest.raises(IntegrityError):
        prediction(CastF8Predictor(), Case(params, [bytes(64)], 16, dtype))
    with pytest.raises(IntegrityError):  # a base ends inside a value
        prediction(CastF8Predictor(), Case(b"\1", [bytes(7), bytes(57)], 16, DType.F8_E4M3))


@pytest.fixture
def store(tmp_path: Path) -> BlobStore:
    return open_local_store(tmp_path)


WEIGHT = np.random.default_rng(1).normal(0, 0.02, (400, 512)).astype("<f4")
MOVED = (WEIGHT + np.random.default_rng(2).normal(0, 1e-4, WEIGHT.shape)).astype("<f4")


def file_of(label: str, shape: tuple[int, ...], data: bytes) -> bytes:
    return shaped_safetensors({"w": (label, shape, data)})


@every_target
@pytest.mark.parametrize("turned", [False, True])
def test_an_f8_copy_is_kept_as_the_recipe_alone(
    store: BlobStore, target: DType, turned: bool
) -> None:
    """Of one of two steps of a training."""
    keep(store, file_of("F32", MOVED.shape, MOVED.tobytes()))
    values = torch.from_numpy(WEIGHT.T.copy() if turned else WEIGHT)
    data = values.to(TORCH[target]).view(torch.uint8).numpy()
    copy = file_of(target.label, data.shape, data.tobytes())
    assert taken_after(store, file_of("F32", WEIGHT.shape, WEIGHT.tobytes()), copy) < 0.02


def test_so_is_one_of_a_bfloat16_model(store: BlobStore) -> None:
    half = halves(WEIGHT.ravel())
    values = torch.frombuffer(bytearray(half), dtype=torch.bfloat16).to(torch.float8_e4m3fn)
    copy = file_of("F8_E4M3", WEIGHT.shape, values.view(torch.uint8).numpy().tobytes())
    assert taken_after(store, file_of("BF16", WEIGHT.shape, half), copy) < 0.02
