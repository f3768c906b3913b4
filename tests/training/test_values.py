"""Values come back as they were, type and bits; what cannot is refused with its place."""

import enum
import math
import struct
from collections import Counter, OrderedDict, deque
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from cairn.errors import MalformedError, RequestError
from cairn.formats.strict_json import parse_json
from cairn.training.record import Record, SavedPart, parse_record
from cairn.training.tensors import TensorTable
from cairn.training.values import Decoder, Encoder

Value = Any


def through_json(value: Value) -> Value:
    """The value after the way into a file's JSON and back."""
    table = TensorTable()
    said = Encoder(table, "part").encode(value)
    record = Record(0, "", 0, {}, None, {}, {"part": SavedPart("stateful", "X", None, said)})
    back = parse_record(record.to_bytes(), "checkpoint.json").parts["part"].state
    return Decoder(table.tensors, "part").decode(back)


def same(a: Value, b: Value) -> bool:
    """Equal in type and bits, all the way down."""
    if type(a) is not type(b):
        return False
    if isinstance(a, float):
        return struct.pack("d", a) == struct.pack("d", b)
    if isinstance(a, complex):
        return same(a.real, b.real) and same(a.imag, b.imag)
    if isinstance(a, dict):
        return len(a) == len(b) and all(
            same(x, y)
            for pair in zip(a.items(), b.items(), strict=True)
            for x, y in zip(*pair, strict=True)
        )
    if isinstance(a, deque):
        return a.maxlen == b.maxlen and same(list(a), list(b))
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(same(x, y) for x, y in zip(a, b, strict=True))
    if isinstance(a, torch.Tensor):
        return (
            a.dtype == b.dtype
            and a.requires_grad == b.requires_grad
            and a.shape == b.shape
            and torch.equal(
                a.detach().reshape(-1).view(torch.uint8), b.detach().reshape(-1).view(torch.uint8)
            )
        )
    if isinstance(a, np.ndarray | np.generic):
        return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()
    return bool(a == b)


texts = st.text(st.characters(codec=None, exclude_categories=()), max_size=6)  # surrogates too
numbers = st.integers() | st.floats() | st.complex_numbers(allow_nan=True, allow_infinity=True)
keys = (
    texts
    | st.integers()
    | st.booleans()
    | st.none()
    | st.binary(max_size=4)
    | st.sampled_from(["$tensor", "$", "", "a.b"])
)
scalars = st.one_of(
    *(st.floats(width=w).map(np.dtype(f"f{w // 8}").type) for w in (16, 32, 64)),
    st.integers(-128, 127).map(np.int8),
    st.booleans().map(np.bool_),
    st.complex_numbers(width=64).map(np.complex64),
)
leaves = st.none() | st.booleans() | texts | numbers | st.binary(max_size=6) | scalars
values = st.recursive(
    leaves,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.lists(inner, max_size=4).map(tuple)
        | st.lists(inner, max_size=4).map(lambda items: deque(items, 5))
        | st.dictionaries(keys, inner, max_size=4)
        | st.dictionaries(keys, inner, max_size=4).map(OrderedDict)
    ),
    max_leaves=12,
)


@settings(max_examples=150, deadline=None)
@given(values)
def test_whatever_can_be_written_comes_back_bit_for_bit(value: Value) -> None:
    assert same(through_json(value), value)


@pytest.mark.parametrize(
    "value",
    [
        {1, 2},
        frozenset(("a",)),
        bytearray(b"\0\1"),
        torch.Size((2, 3)),
        torch.bfloat16,
        torch.device("cpu"),
        struct.unpack("d", bytes.fromhex("010000000000f87f"))[0],  # a NaN with a payload
        -0.0,
        10**60,
        -(2**63),
        {"$tensor": "not one"},
        Counter({2: 1, "a": 3}),
        np.arange(6, dtype=np.uint16).reshape(2, 3)[:, ::2],
        np.array(3.5),
        np.zeros((0, 4), dtype=np.float32),
        nn.Parameter(torch.ones(2), requires_grad=False),
        torch.ones(2, requires_grad=True),
    ],
    ids=repr,
)
def test_these_come_back_too(value: Value) -> None:
    assert same(through_json(value), value)


@pytest.mark.parametrize(
    "dtype",
    [
        *(torch.bool, torch.uint8, torch.int8, torch.int16, torch.uint16, torch.int32),
        *(torch.uint32, torch.int64, torch.uint64, torch.float16, torch.bfloat16, torch.float32),
        *(torch.float64, torch.complex64, torch.float8_e4m3fn, torch.float8_e5m2),
    ],
    ids=str,
)
def test_tensors_of_every_type_come_back(dtype: torch.dtype) -> None:
    raw = torch.arange(48, dtype=torch.uint8)
    tensor = (raw % 2).bool() if dtype is torch.bool else raw.view(dtype)
    assert same(through_json([tensor, tensor[:0], tensor[0]]), [tensor, tensor[:0], tensor[0]])


def test_views_that_do_not_lie_row_by_row_come_back_as_what_they_show() -> None:
    tensor = torch.arange(6.0).reshape(2, 3)
    assert torch.equal(through_json(tensor.T), tensor.T)
    turned = torch.tensor([1 + 2j]).conj()
    assert torch.equal(through_json(turned), turned)


def test_tensors_that_are_one_are_one_again() -> None:
    tensor = torch.ones(3)
    back = through_json({"a": tensor, "b": [tensor, tensor.view(3)], "c": tensor.clone()})
    assert back["a"] is back["b"][0] is back["b"][1]
    assert back["c"] is not back["a"]


def test_places_that_read_alike_stay_apart() -> None:
    value = {"a.b": torch.zeros(1), "a": {"b": torch.ones(1)}, 1: torch.ones(2), "1": torch.ones(3)}
    assert same(through_json(value), value)


class Colour(enum.IntEnum):
    RED = 1


class Pair(NamedTuple):
    x: int


def own_tail() -> Value:
    tail: list[Value] = []
    tail.append(tail)
    return tail


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (lambda: 0, "function"),
        (Colour.RED, "Colour"),
        (Pair(1), "Pair"),
        (object(), "object"),
        (own_tail(), "does it contain itself"),
        (np.array(["a"]), "array of <U1"),
        (np.array([object()]), "array of object"),
        (np.longdouble(1), "NumPy"),
        (np.datetime64(0, "s"), "NumPy"),
        (torch.ones(1, dtype=torch.complex128), "complex128"),
        (torch.ones(2, device="meta"), "meta"),
        (torch.ones(2).to_sparse(), "sparse"),
        (torch.ones(2, requires_grad=True) * 2, "detach it"),
    ],
    ids=lambda item: type(item).__name__ if not isinstance(item, str) else item,
)
def test_what_cannot_be_kept_exactly_is_refused_with_its_place(value: Value, said: str) -> None:
    with pytest.raises(RequestError, match=said) as refused:
        Encoder(TensorTable(), "scheduler").encode({"inner": [1, value]})
    assert "inner.1" in str(refused.value)


@pytest.mark.parametrize(
    "said",
    [
        {"$pickle": "gASVAA=="},
        {"$tensor": "absent"},
        {"$scalar": ["|O", "00"]},
        {"$dtype": "load"},
        {"$float": "00"},
        {"$dict": [[1]]},
        {"$dict": [[[], 1]]},
    ],
    ids=str,
)
def test_marks_that_mean_nothing_are_refused(said: Value) -> None:
    with pytest.raises(MalformedError):
        Decoder({}, "part").decode([said])


def test_the_document_is_json_that_anyone_can_read() -> None:
    said = Encoder(TensorTable(), "part").encode({"x": math.nan, "y": 2**70, "z": "\ud800"})
    record = Record(0, "", 0, {}, said, {}, {})
    assert parse_json(record.to_bytes(), "checkpoint.json", what="it")["values"] == said
