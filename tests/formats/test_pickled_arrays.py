"""NumPy arrays inside pickles: the values NumPy loads, wherever and however they lie."""

import io
import pickle

import ml_dtypes
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from cairn.domain import Role
from cairn.errors import LimitError, MalformedError, UnknownFormatError
from cairn.formats import BytesSource
from cairn.formats.readers.pickle_file import PickleFileReader
from cairn.formats.values import read_array
from cairn.testing.readers import ReaderConformance
from tests.formats.making import Made, Name, archive, layout_of, pickled, saved

DTYPES = ["b1", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8", "c8", "c16"]
NDARRAY = Name("numpy", "ndarray")
RECONSTRUCT = Name("numpy._core.multiarray", "_reconstruct")


def array_of(dtype: str, shape=(3, 4)) -> np.ndarray:
    count = int(np.prod(shape)) * np.dtype(dtype).itemsize
    raw = np.random.default_rng(5).integers(0, 2 if dtype == "b1" else 256, count, np.uint8)
    return raw.view(dtype).reshape(shape)


def values(data: bytes) -> dict[str, bytes]:
    found = layout_of(data).tensors
    return {t.name: read_array(t, BytesSource(data)).tobytes() for t in found}


class TestPickleFile(ReaderConformance):
    reader = PickleFileReader()

    @classmethod
    def make(cls) -> dict[str, bytes]:
        value = {"w": np.arange(6, dtype="f4").reshape(2, 3), "n": 7, "b": np.arange(3).T}
        return {
            "no arrays": pickle.dumps([1, "x"], 4),
            **{f"protocol {p}": pickle.dumps(value, p) for p in (2, 3, 4, 5)},
        }


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
@pytest.mark.parametrize("dtype", DTYPES)
def test_arrays_of_every_type_and_order_have_the_values_of_numpy(protocol, dtype) -> None:
    base = array_of(dtype, (3, 4, 2))
    arrays = {
        "whole": base,
        "columns": np.asfortranarray(base),
        "turned": base[0].T,
        "sliced": base[::2, 1:],
        "scalar": np.array(base[1, 2, 1]),
        "empty": base[:0],
        "one": base[:1, :1, 0],
    }
    found = values(pickle.dumps(arrays, protocol))
    assert found == {name: array.tobytes() for name, array in arrays.items()}


@pytest.mark.parametrize("protocol", [2, 4, 5])
def test_foreign_byte_order_and_small_floats_are_known(protocol) -> None:
    big = np.arange(4, dtype=">f4")
    half = np.arange(3).astype(ml_dtypes.bfloat16)
    layout = layout_of(pickle.dumps({"big": big, "half": half}, protocol))
    assert [t.dtype.label for t in layout.tensors] == ["F32", "BF16"]
    found = values(pickle.dumps({"big": big, "half": half}, protocol))
    assert found == {"big": big.astype("<f4").tobytes(), "half": half.tobytes()}


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_long_arrays_stay_in_the_file(protocol) -> None:
    long = {"w": array_of("f4", (300, 100)), "f": np.asfortranarray(array_of("f8", (100, 90)))}
    assert values(pickle.dumps(long, protocol)) == {k: v.tobytes() for k, v in long.items()}


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.integers(0, 5), max_size=4).map(tuple),
    st.sampled_from(DTYPES),
    st.sampled_from([2, 3, 4, 5]),
    st.booleans(),
)
def test_any_shape_is_read(shape, dtype, protocol, in_columns) -> None:
    array = np.asarray(array_of(dtype, shape), order="F" if in_columns else "C")
    (tensor,) = layout_of(pickle.dumps([array], protocol)).tensors
    assert tensor.shape == shape
    assert values(pickle.dumps([array], protocol)) == {"0": array.tobytes()}


def test_arrays_that_share_one_payload_share_one_storage() -> None:
    array = np.arange(4.0)
    layout = layout_of(pickle.dumps({"a": array, "b": array}, 4))
    assert [t.name for t in layout.tensors] == ["a", "b"]
    assert len(layout.storages) == 1


def test_numbers_of_numpy_stay_metadata() -> None:
    value = {"loss": np.float64(0.5), "step": np.int64(7), "z": np.complex128(1)}
    layout = layout_of(pickle.dumps(value, 4))
    assert layout.metadata["loss"] == 0.5
    assert layout.metadata["step"] == 7
    assert layout.tensors == ()


def test_arrays_in_torch_files_lie_in_their_pickle() -> None:
    value = {"w": torch.ones(2), "running_mean": np.arange(5.0), "f": np.ones((2, 3), "f4", "F")}
    for options in ({}, {"_use_new_zipfile_serialization": False}, {"pickle_protocol": 4}):
        data = saved(value, **options)
        found = values(data)
        assert found["running_mean"] == value["running_mean"].tobytes()
        assert found["f"] == value["f"].tobytes()
        roles = {tensor.name: tensor.role for tensor in layout_of(data).tensors}
        assert roles["running_mean"] is Role.BUFFERS


def test_a_model_zoo_pickle_is_a_state_dict() -> None:
    """As detectron2's model zoo has them."""
    model = {"backbone.conv1.weight": array_of("f4", (2, 3)), "backbone.bn.running_var": np.ones(2)}
    layout = layout_of(pickle.dumps({"model": model, "__author__": "zoo"}))
    roles = {tensor.name: tensor.role for tensor in layout.tensors}
    assert roles == {
        "model.backbone.conv1.weight": Role.WEIGHTS,
        "model.backbone.bn.running_var": Role.BUFFERS,
    }
    assert layout.metadata["__author__"] == "zoo"


def test_arrays_of_objects_are_no_tensors() -> None:
    value = {"o": np.array([{"a": 1}, None], dtype=object), "s": np.array(["x", "y"])}
    layout = layout_of(pickle.dumps(value, 4))
    assert layout.tensors == ()


def crafted(shape, data, code="f4", columns=False):
    dtype = Made(Name("numpy", "dtype"), code, False, True, state=(3, "<", None))
    made = Made(RECONSTRUCT, NDARRAY, (0,), b"b", state=(1, shape, dtype, columns, data))
    return pickled(made, 4)


def test_hand_made_arrays_are_understood() -> None:
    assert values(crafted((2,), bytes(range(8)))) == {"tensor": bytes(range(8))}


@pytest.mark.parametrize(
    ("shape", "data"),
    [((3,), bytes(8)), ((1,), bytes(8)), ((2**40,), bytes(8)), ((2**62, 0, 2), b""), ((5,), b"")],
)
def test_an_array_of_another_length_than_its_shape_is_refused_or_empty(shape, data) -> None:
    if 0 in shape:
        assert layout_of(crafted(shape, data)).tensors[0].elements == 0
        return
    with pytest.raises(MalformedError, match="lies in"):
        layout_of(crafted(shape, data))


@pytest.mark.parametrize(
    "shape", [(-1,), (2.0,), (True, 2), (2**70,), (2**62, 4), (1,) * 65, "ab", [2]]
)
def test_a_shape_that_is_none_makes_no_tensor(shape) -> None:
    assert layout_of(crafted(shape, bytes(8))).tensors == ()


def test_a_text_with_characters_that_are_no_bytes_is_an_error_when_read() -> None:
    text = Made(Name("_codecs", "encode"), "\u0394" * 4, "latin1")
    layout = layout_of(crafted((4,), text, "u1"))
    with pytest.raises(MalformedError, match="other characters"):
        read_array(layout.tensors[0], BytesSource(crafted((4,), text, "u1")))


def test_joblib_and_nested_torch_pickles_are_named() -> None:
    joblib = pickled(Made(Name("joblib.numpy_pickle", "NumpyArrayWrapper")), 2)
    with pytest.raises(UnknownFormatError, match="joblib"):
        layout_of(joblib + b"raw")
    buffer = io.BytesIO()
    pickle.dump({"w": torch.ones(2)}, buffer)
    with pytest.raises(UnknownFormatError, match=r"pickle of torch tensors.*safetensors"):
        layout_of(buffer.getvalue())


def test_a_tensor_of_a_storage_that_is_nowhere_is_refused() -> None:
    from tests.formats.making import Persistent, rebuilt

    with pytest.raises(MalformedError, match="not in the file"):
        layout_of(pickled([rebuilt(Persistent("0", 4))]))


def test_bombs_end_in_limits_and_huge_lengths_are_refused() -> None:
    with pytest.raises(LimitError, match="nested deeper"):
        layout_of(b"\x80\x04" + b"]" * 1000 + b"a" * 999 + b".")
    with pytest.raises(MalformedError, match="promised"):
        layout_of(b"\x80\x04\x8e" + (2**62).to_bytes(8, "little"))
    with pytest.raises(MalformedError, match="follow the end"):
        layout_of(pickle.dumps([1]) + pickle.dumps([2]))


def test_nothing_in_a_pickle_is_called(tmp_path) -> None:
    target = tmp_path / "ran"
    evil = pickled(Made(Name("os", "system"), f"touch {target}"), 4)
    assert str(layout_of(evil).metadata["value"]).startswith("os.system('touch")
    assert str(layout_of(archive(evil)).metadata["value"]).startswith("os.system('touch")
    assert not target.exists()
