"""Encodes a part as its difference to what a predictor makes of stored parts."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import numpy as np

from cairn.domain import Digest, DType
from cairn.errors import IntegrityError, UnavailableError
from cairn.store.base_parts import BaseParts
from cairn.store.base_tensor import BaseTensor
from cairn.store.bases import MAX_BASES, Base, BaseBytes, encode_bases
from cairn.store.decoding import decode_into, encode_body
from cairn.store.low_rank_update import LowRankUpdate
from cairn.store.packs import Encoded
from cairn.store.predictors import PREDICTORS
from cairn.store.residual import EXACT, encode_residual, likely_bits
from cairn.store.solo import encode_alone

# A part that takes so little of its plain bytes is not tried in other ways.
ALMOST_NOTHING = 0.01


@dataclass(frozen=True, slots=True)
class Plan:
    """Keep a storage's parts as differences to a tensor.

    That is worth it where a part then takes at most `worth_share` of its plain bytes. An
    `update` brings parameters and bases of its own for each part. A base that `falls_short` has
    less elements: what goes for some parts does not for all. `blob` is the one whose tensor the
    base is, where it is one.
    """

    base: BaseTensor
    predictor: str
    params: bytes
    coding: int
    worth_share: float = 1.0
    update: LowRankUpdate | None = None
    falls_short: bool = False
    blob: Digest | None = None


class Way(NamedTuple):
    """A plan for a part, and where the part begins in what is planned."""

    plan: Plan
    start: int


def encode_part(
    ways: Sequence[Way], plain: bytes, digest: bytes, dtype: DType | None, parts: BaseParts
) -> Encoded:
    """The part in whichever of these ways takes the least or, where none is worth it, alone."""
    best: Encoded | None = None
    for plan, start in ways:
        if dtype is None:
            break
        tried = encode_derived(plan, memoryview(plain), digest, start, dtype, parts)
        if tried is None or len(tried.stored) > plan.worth_share * len(plain):
            continue
        if best is None or len(tried.stored) < len(best.stored):
            best = tried
        if len(tried.stored) <= ALMOST_NOTHING * len(plain):
            break
    return best or encode_alone(plain, digest, dtype, parts.codecs)


def reads_back(encoded: Encoded, ways: Sequence[Way], plain: bytes, parts: BaseParts) -> bool:
    """Whether a record that was made in one of these ways decodes to these bytes, from sound bases.

    It need not be stored yet.
    """
    update = next((way.plan.update for way in ways if way.plan.update is not None), None)
    fetch = partial(_read_base_into, update, parts)
    stored = memoryview(encoded.stored)
    with parts.scratch.bytes(len(plain)) as found:
        try:
            decode_into(encoded.record(), stored, found, parts.codecs, fetch, parts.scratch)
        except (IntegrityError, UnavailableError):
            return False
        return _equal(memoryview(plain), found)


def encode_derived(
    plan: Plan, plain: memoryview, digest: bytes, start: int, dtype: DType, parts: BaseParts
) -> Encoded | None:
    """The bytes at `start` of a storage as their plan has it; None if its base is not to be had."""
    inputs = _inputs(plan, start, len(plain), dtype)
    if inputs is None:
        return None
    with parts.scratch.bytes(len(plain)) as predicted:
        try:
            _predict_into(plan, inputs, predicted, dtype, parts)
        except (IntegrityError, UnavailableError):
            return None
        coding = EXACT if _equal(plain, predicted) else plan.coding
        residual = encode_residual(plain, predicted, dtype, coding, parts.scratch)
    stored = encode_bases(inputs.bases) + encode_body(inputs.params, coding, residual)
    return Encoded(digest, len(plain), plan.predictor, dtype, stored, inputs.bases, inputs.depth)


def likely_plan_bits(
    plan: Plan, plain: memoryview, start: int, dtype: DType, parts: BaseParts
) -> float:
    """About how many bits an element takes by this plan; infinitely many if it cannot be done."""
    with parts.scratch.bytes(len(plain)) as predicted:
        if not predict_into(plan, start, predicted, dtype, parts):
            return float("inf")
        return likely_bits(plain, predicted, dtype)


def predict_into(plan: Plan, start: int, out: memoryview, dtype: DType, parts: BaseParts) -> bool:
    """Fill `out` with what the plan predicts from `start` on; False if its base is lost."""
    inputs = _inputs(plan, start, len(out), dtype)
    if inputs is None:
        return False
    try:
        _predict_into(plan, inputs, out, dtype, parts)
    except (IntegrityError, UnavailableError):
        return False
    return True


def bases_of(plan: Plan, start: int, size_bytes: int, dtype: DType) -> tuple[Base, ...] | None:
    """What the bytes at `start` of a storage are made from; None if it is too scattered."""
    stop = start + size_bytes
    return plan.base.bases(_in_base(plan, start, dtype), _in_base(plan, stop, dtype))


def _in_base(plan: Plan, at: int, dtype: DType) -> int:
    """Where in the base the element lies that begins at byte `at`."""
    base = plan.base.dtype
    if base is dtype:
        return at
    elements = at // dtype.block_bytes * dtype.block_elements
    return elements // base.block_elements * base.block_bytes


@dataclass(frozen=True, slots=True)
class _Inputs:
    """What a part is predicted from."""

    params: bytes
    bases: tuple[Base, ...]
    depth: int


def _inputs(plan: Plan, start: int, size_bytes: int, dtype: DType) -> _Inputs | None:
    """None if the base is not to be had, or too deep."""
    bases = bases_of(plan, start, size_bytes, dtype)
    depth = None if bases is None else plan.base.depth(bases)
    if bases is None or depth is None:
        return None
    if plan.update is None:
        return _Inputs(plan.params, bases, depth)
    first, count = start // dtype.block_bytes, size_bytes // dtype.block_bytes
    bases = (*bases, *plan.update.bases(first, count))
    if len(bases) > MAX_BASES:
        return None
    return _Inputs(plan.update.params(first), bases, depth)


def _predict_into(
    plan: Plan, inputs: _Inputs, out: memoryview, dtype: DType, parts: BaseParts
) -> None:
    source = BaseBytes(inputs.bases, partial(_read_base_into, plan.update, parts))
    predictor = PREDICTORS.get(plan.predictor)
    predictor.predict_into(memoryview(inputs.params), source, out, dtype, parts.scratch)


def _read_base_into(
    update: LowRankUpdate | None, parts: BaseParts, base: Base, out: memoryview
) -> None:
    if update is None or not update.read_into(base, out):
        parts.sound_base_into(base, out)


def _equal(one: memoryview, other: memoryview) -> bool:
    return np.array_equal(np.frombuffer(one, np.uint8), np.frombuffer(other, np.uint8))
