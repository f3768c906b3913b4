"""What every predictor must do; subclass `PredictorSuite`, give it the predictor and cases.

class TestMine(PredictorSuite):
    predictor = MyPredictor()

    def cases(self, seed):
        yield Case(params, [base, ...], plain_bytes, dtype)
"""
# ruff: noqa: D102 - the names of tests are sentences

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cairn.domain import DType
from cairn.errors import IntegrityError
from cairn.store.bases import Base, BaseBytes
from cairn.store.codec import MAX_NAME_BYTES
from cairn.store.predictor import MAX_PARAMS_BYTES, Predictor
from cairn.store.scratch import Scratch

_GUARD = 64  # bytes around the output that a predictor must not touch
_SETTINGS = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.differing_executors]
)


@dataclass(frozen=True)
class Case:
    """What a predictor is asked for."""

    params: bytes
    bases: Sequence[bytes]
    plain_bytes: int
    dtype: DType | None


def bases_of(plains: Sequence[bytes]) -> BaseBytes:
    """Bases that hold these bytes."""
    bases = [Base(bytes([n]) * 32, 0, len(plain)) for n, plain in enumerate(plains)]

    def read_into(base: Base, out: memoryview) -> None:
        out[:] = plains[base.digest[0]]

    return BaseBytes(bases, read_into)


def prediction(predictor: Predictor, case: Case) -> bytes:
    """What it makes of a case, in the middle of a larger buffer whose rest is untouched."""
    buffer = bytearray(b"\xa5" * (case.plain_bytes + 2 * _GUARD))
    out = memoryview(buffer)[_GUARD : _GUARD + case.plain_bytes]
    try:
        predictor.predict_into(
            memoryview(case.params), bases_of(case.bases), out, case.dtype, Scratch()
        )
    finally:
        assert buffer[:_GUARD] == buffer[_GUARD + case.plain_bytes :] == b"\xa5" * _GUARD
    return bytes(out)


class PredictorSuite:
    """The same answer every time, and only `IntegrityError` for what does not fit."""

    predictor: Predictor

    def cases(self, seed: int) -> Iterator[Case]:
        """Cases that it has an answer for; equal seeds, equal cases."""
        raise NotImplementedError

    def test_its_name_fits_a_pack_record(self) -> None:
        assert self.predictor.name.isascii()
        assert 0 < len(self.predictor.name) <= MAX_NAME_BYTES

    def test_it_has_cases_with_small_parameters(self) -> None:
        cases = list(self.cases(0))
        assert cases
        assert all(len(case.params) <= MAX_PARAMS_BYTES for case in cases)

    @given(seed=st.integers(0, 2**32 - 1))
    @settings(_SETTINGS, max_examples=15)
    def test_the_same_bases_give_the_same_bytes(self, seed: int) -> None:
        first = [prediction(self.predictor, case) for case in self.cases(seed)]
        assert first == [prediction(self.predictor, case) for case in self.cases(seed)]

    @given(
        params=st.binary(max_size=80),
        bases=st.lists(st.binary(max_size=200), max_size=4),
        plain_bytes=st.integers(0, 400),
        dtype=st.sampled_from([None, *DType]),
    )
    @_SETTINGS
    def test_nonsense_is_an_integrity_error_or_some_bytes_never_worse(
        self, params: bytes, bases: list[bytes], plain_bytes: int, dtype: DType | None
    ) -> None:
        with suppress(IntegrityError):
            prediction(self.predictor, Case(params, bases, plain_bytes, dtype))

    @given(seed=st.integers(0, 2**32 - 1), at=st.integers(0, 2**16), bit=st.integers(0, 7))
    @_SETTINGS
    def test_damaged_parameters_are_an_integrity_error_or_some_bytes_never_worse(
        self, seed: int, at: int, bit: int
    ) -> None:
        for case in self.cases(seed):
            params = bytearray(case.params)
            if params:
                params[at % len(params)] ^= 1 << bit
            damaged = Case(bytes(params), case.bases, case.plain_bytes, case.dtype)
            with suppress(IntegrityError):
                prediction(self.predictor, damaged)

    def test_too_few_base_bytes_are_an_integrity_error(self) -> None:
        for case in self.cases(0):
            short = [*case.bases[:-1], case.bases[-1][:-1]]
            with pytest.raises(IntegrityError):
                prediction(self.predictor, Case(case.params, short, case.plain_bytes, case.dtype))
