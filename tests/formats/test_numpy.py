"""npy and npz: values as numpy.load reads them, and headers that are not what NumPy writes."""

import io
import pickle
import struct
import zipfile

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cairn.domain import DType
from cairn.errors import LimitError, MalformedError, UntrustedDataError
from cairn.formats import BytesSource
from cairn.formats.dtypes import numpy_dtype
from cairn.formats.python_literals import parse_literal
from cairn.formats.readers.npy import NpyReader
from cairn.formats.readers.npz import NpzReader
from cairn.formats.values import read_array
from cairn.testing.readers import ReaderConformance
from tests.formats.making import layout_of

TYPES = ("?", "i1", "u1", "<i2", "<u2", "<i4", "<u4", "<i8", "<u8", "<f2", "<f4", "<f8", "<c8")
TYPES += ("<c16", ">i2", ">u4", ">f2", ">f4", ">f8", ">i8", ">c8", ">c16")


def saved(array: np.ndarray, **options) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array, **options)
    return buffer.getvalue()


def zipped(arrays: dict[str, np.ndarray], save=np.savez) -> bytes:
    buffer = io.BytesIO()
    save(buffer, **arrays)
    return buffer.getvalue()


def headed(text: str, data: bytes = b"", version: tuple[int, int] = (1, 0)) -> bytes:
    raw = text.encode("utf-8" if version[0] == 3 else "latin-1")
    width = "<H" if version[0] == 1 else "<I"
    return b"\x93NUMPY" + bytes(version) + struct.pack(width, len(raw)) + raw + data


def dict_of(descr: str = "'<f4'", order: str = "False", shape: str = "(2,)") -> str:
    return f"{{'descr': {descr}, 'fortran_order': {order}, 'shape': {shape}, }}\n"


def members(files: dict[str, bytes], method: int = zipfile.ZIP_STORED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as out:
        for name, data in files.items():
            out.writestr(name, data)
    return buffer.getvalue()


def any_array(kind: str, shape: tuple[int, ...]) -> np.ndarray:
    dtype = np.dtype(kind)
    count = int(np.prod(shape, dtype=int))
    raw = np.random.default_rng(count).integers(
        0, 2 if kind == "?" else 256, count * dtype.itemsize
    )
    return raw.astype(np.uint8).view(dtype).reshape(shape)


class TestNpy(ReaderConformance):
    reader = NpyReader()

    @classmethod
    def make(cls) -> dict[str, bytes]:
        return {
            "vector": saved(np.arange(5, dtype=np.int16)),
            "by columns": saved(np.asfortranarray(np.ones((3, 4), ">f8"))),
            "text": saved(np.array(["a", "bc"])),
            "larger than a page": saved(np.ones((40, 40), np.float32)),
        }


class TestNpz(ReaderConformance):
    reader = NpzReader()
    read_ahead_bytes = 800  # the beginning of what is deflated

    @classmethod
    def make(cls) -> dict[str, bytes]:
        small = {"w": np.ones((3, 4), np.float32), "layer/b": np.zeros(0), "s": np.array(2)}
        noise = np.random.default_rng(0).integers(0, 256, (40, 40), np.uint8)
        return {
            "stored": zipped(small),
            "deflated": zipped(small, np.savez_compressed),
            "larger than a page": zipped({"w": noise, "f": noise.T}, np.savez_compressed),
        }


def assert_reads_as(data: bytes, wanted: dict[str, np.ndarray]) -> None:
    layout = layout_of(data)
    assert {t.name for t in layout.tensors} == set(wanted)
    for tensor in layout.tensors:
        array = wanted[tensor.name]
        assert tensor.shape == array.shape
        found = read_array(tensor, BytesSource(data))
        little = array.astype(array.dtype.newbyteorder("<"))
        assert found.tobytes() == little.tobytes(order="C"), tensor
        assert numpy_dtype(tensor.dtype) == little.dtype


@pytest.mark.parametrize("shape", [(), (0, 3), (5,), (3, 4), (2, 3, 4), (1, 7, 1)], ids=str)
@pytest.mark.parametrize("kind", TYPES)
def test_every_type_and_order_has_the_values_that_numpy_loads(kind: str, shape) -> None:
    array = any_array(kind, shape)
    for laid_out in (array, np.asfortranarray(array)):
        data = saved(laid_out)
        assert_reads_as(data, {"array": np.load(io.BytesIO(data))})


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_every_array_of_an_archive_has_the_values_that_numpy_loads(save) -> None:
    arrays = {f"layers/{i}/{kind[1:]}": any_array(kind, (3, 4, 5)) for i, kind in enumerate(TYPES)}
    arrays |= {f"{name}.T": np.asfortranarray(array) for name, array in arrays.items()}
    arrays["scalar"], arrays["empty"] = np.array(1.5), np.zeros((2, 0))
    data = zipped(arrays, save)
    with np.load(io.BytesIO(data)) as loaded:
        assert_reads_as(data, {name: loaded[name] for name in loaded.files})


@pytest.mark.parametrize("version", [(1, 0), (2, 0), (3, 0)])
def test_every_version_of_the_header_is_read(version) -> None:
    buffer = io.BytesIO()
    array = np.arange(6, dtype=np.float32)
    np.lib.format.write_array(buffer, array, version=version)
    assert_reads_as(buffer.getvalue(), {"array": array})


def test_headers_of_python_2_are_read() -> None:
    data = headed("{'descr': '<f4', 'fortran_order': False, 'shape': (2L, 1L)}", bytes(8))
    assert layout_of(data).tensors[0].shape == (2, 1)
    data = headed('{"shape":(2,),"descr":"<f4","fortran_order":False}', bytes(8))
    assert layout_of(data).tensors[0].shape == (2,)


def test_types_that_numpy_does_not_name_are_shown_as_bits() -> None:
    array = np.array([1, -2.5, 3], ml_dtypes.bfloat16)
    data = saved(array)
    layout = layout_of(data)
    assert layout.tensors[0].dtype is DType.U16
    assert read_array(layout.tensors[0], BytesSource(data)).tobytes() == array.tobytes()
    assert any("bfloat16" in note for note in layout.notes)


def test_dates_are_shown_as_integers() -> None:
    layout = layout_of(saved(np.array(["2026-11-26"], "M8[s]")))
    assert layout.tensors[0].dtype is DType.I64
    assert any("dates" in note for note in layout.notes)


@pytest.mark.parametrize(
    ("array", "word"),
    [
        (np.array([{"a": 1}, None], object), "unpickling"),
        (np.array(["é", "bc"]), "text"),
        (np.array([b"a", b"bc"]), "text"),
        (np.zeros(3, [("a", "<i4"), ("b", ">f8", (2,))]), "records"),
        (np.zeros(3, "V12"), "without a type"),
        (np.zeros(2, np.longdouble), "long floats"),
    ],
    ids=lambda value: value if isinstance(value, str) else str(value.dtype),
)
def test_what_is_not_read_is_said_in_words(array: np.ndarray, word: str) -> None:
    for data in (saved(array), zipped({"x": array}), zipped({"x": array}, np.savez_compressed)):
        layout = layout_of(data)
        assert layout.tensors == ()
        assert any(word in note for note in layout.notes)


def test_an_object_array_is_never_unpickled() -> None:
    class Bomb:
        def __reduce__(self):
            return (pytest.fail, ("unpickled",))

    raw = pickle.dumps(np.array([Bomb()], object))
    data = headed(dict_of("'|O'", shape="(1,)"), raw)
    assert layout_of(data).tensors == ()
    assert layout_of(members({"x.npy": data})).tensors == ()


def test_what_is_no_array_in_an_archive_is_noted() -> None:
    data = members({"a.npy": saved(np.ones(2)), "readme.txt": b"hello"})
    layout = layout_of(data)
    assert [t.name for t in layout.tensors] == ["a"]
    assert layout.notes == ("readme.txt is not an array",)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (dict_of(shape="(-1,)"), "0 to 2"),
        (dict_of(shape="(True,)"), "0 to 2"),
        (dict_of(shape="(2.0,)"), "literal"),
        (dict_of(shape="[2]"), "tuple"),
        (dict_of(shape="(2)"), "parentheses"),
        (dict_of(shape="2"), "tuple"),
        (dict_of(shape="('2',)"), "0 to 2"),
        (dict_of(shape=f"({2**63},)"), "0 to 2"),
        (dict_of(shape=f"({2**40}, {2**40})"), "overflows"),
        (dict_of(shape="(9" + "9" * 5000 + ",)"), "literal"),
        (dict_of(shape="(3,)"), "needs 12 bytes"),
        (dict_of(shape="(1,)"), "needs 4 bytes"),
        (dict_of("'<q4'"), "not known"),
        (dict_of("'<i3'"), "not known"),
        (dict_of("4"), "not known"),
        (dict_of("'<f4', 'descr': '<f4'"), "twice"),
        (dict_of("__import__('os').system('true')"), "literal"),
        (dict_of("'<f4' '<f4'"), "comma"),
        (dict_of(order="0"), "True or False"),
        ("{'descr': '<f4', 'shape': (2,)}", "must have"),
        ("{'descr': '<f4', 'shape': (2,), 'fortran_order': False, 'x': 1}", "must have"),
        (dict_of() + "x", "literal"),
        ("[]", "must have"),
        ("", "literal"),
        ("(" * 5000, "deeply"),
        ("{'a': " * 5000, "deeply"),
    ],
)
def test_a_header_that_numpy_does_not_write_is_refused(text: str, why: str) -> None:
    with pytest.raises(MalformedError, match=why):
        layout_of(headed(text, bytes(8)))


def test_too_many_axes_and_too_long_headers_are_refused() -> None:
    with pytest.raises(LimitError, match="axes"):
        layout_of(headed(dict_of(shape="(" + "1," * 65 + ")"), bytes(4)))
    with pytest.raises(LimitError, match="header"):
        layout_of(headed(dict_of() + " " * 70_000, bytes(8), (2, 0)))
    with pytest.raises(MalformedError, match="version"):
        layout_of(headed(dict_of(), bytes(8), (4, 0)))
    with pytest.raises(LimitError, match="header"):
        layout_of(b"\x93NUMPY\x02\x00\xff\xff\xff\xff" + bytes(100))


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
@pytest.mark.parametrize("change", [b"", b"1234"])
def test_a_member_of_another_length_than_its_array_is_refused(method: int, change: bytes) -> None:
    data = saved(np.ones(8, np.float32))
    data = data + change if change else data[:-4]
    with pytest.raises(MalformedError, match="the archive member has"):
        layout_of(members({"a.npy": data}, method))


def test_a_member_that_ends_inside_its_header_is_refused() -> None:
    with pytest.raises(MalformedError, match="ends inside"):
        layout_of(members({"a.npy": saved(np.ones(2))[:60]}))


def test_a_deflated_member_that_lies_about_its_size_gives_no_values() -> None:
    data = zipped({"a": np.zeros(5000, np.float32)}, np.savez_compressed)
    true, lie = (struct.pack("<I", 128 + 4 * n) for n in (5000, 6000))
    raw = saved(np.zeros(5000, np.float32)).replace(b"(5000,)", b"(6000,)")
    data = members({"a.npy": raw}, zipfile.ZIP_DEFLATED).replace(true, lie)
    (tensor,) = layout_of(data).tensors
    with pytest.raises(MalformedError):
        read_array(tensor, BytesSource(data))


def test_two_arrays_of_one_name_are_refused() -> None:
    one = saved(np.ones(2))
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as out, pytest.warns(UserWarning, match="Duplicate"):
        out.writestr("a.npy", one)
        out.writestr("a.npy", one)
    with pytest.raises(MalformedError, match="named"):
        layout_of(buffer.getvalue())


values = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**19), 10**19) | st.text("abc <>|é", max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.lists(inner, max_size=3).map(tuple)
        | st.dictionaries(st.text("ab", max_size=3), inner, max_size=3)
    ),
    max_leaves=8,
)


@settings(max_examples=200, deadline=None)
@given(values)
def test_a_literal_is_what_python_wrote(value) -> None:
    assert parse_literal(repr(value), "x", what="it") == value


@settings(max_examples=300, deadline=None)
@given(st.text("()[]{},:'\"0123TrueFalsL \\-", max_size=40))
def test_any_text_is_a_literal_or_refused(text: str) -> None:
    try:
        parse_literal(text, "x", what="it")
    except UntrustedDataError as error:
        assert "it is not a plain Python literal" in str(error)
