"""CTranslate2 models: variables, aliases and the specification's name.

Files are written by the documented structure; `tests/frameworks` has the library itself write one.
"""

import struct
from collections.abc import Mapping

import numpy as np
import pytest

from cairn.domain import Role
from cairn.errors import LimitError, MalformedError, UnknownFormatError
from cairn.formats import BytesSource, read_layout
from cairn.formats.readers.ctranslate2 import CTranslate2Reader
from cairn.formats.values import read_array
from cairn.testing.readers import ReaderConformance

TYPES = {"float32": 0, "int8": 1, "int16": 2, "int32": 3, "float16": 4}
VALUES: dict[str, np.ndarray] = {
    "decoder/num_heads": np.array(4, np.int16),
    "decoder/weight": np.arange(6, dtype=np.int8).reshape(2, 3),
    "decoder/weight_scale": np.array([0.5, 2.0], np.float32),
    "decoder/norm": np.array([1.5, -2.0], np.float16),
}


def string(text: str) -> bytes:
    return struct.pack("<H", len(text) + 1) + text.encode() + b"\0"


def model(
    values: Mapping[str, np.ndarray] = VALUES,
    aliases: Mapping[str, str] | None = None,
    *,
    version: int = 6,
    spec: str = "WhisperSpec",
    count: int | None = None,
) -> bytes:
    out = struct.pack("<I", version) + string(spec) + struct.pack("<I", 3)
    out += struct.pack("<I", len(values) if count is None else count)
    for name, value in values.items():
        out += string(name) + struct.pack("<B", value.ndim)
        out += b"".join(struct.pack("<I", axis) for axis in value.shape)
        if version >= 4:
            out += struct.pack("<BI", TYPES[value.dtype.name], value.nbytes)
        else:
            out += struct.pack("<BI", value.itemsize, value.size)
        out += value.tobytes()
    if version >= 3:
        out += struct.pack("<I", len(aliases or {}))
        for alias, name in (aliases or {}).items():
            out += string(alias) + string(name)
    return out


class TestCTranslate2(ReaderConformance):
    reader = CTranslate2Reader()

    @classmethod
    def make(cls) -> dict[str, bytes]:
        return {
            "quantised": model(aliases={"projection": "decoder/weight"}),
            "old": model({"w": np.ones((2, 2), np.float32)}, version=3),
            "larger than a page": model({"w": np.ones(2000, np.float32)}),
        }


@pytest.mark.parametrize("version", [2, 3, 4, 5, 6])
def test_variables_have_their_names_shapes_and_values(version: int) -> None:
    values = {n: v for n, v in VALUES.items() if version >= 4 or v.dtype != np.float16}
    source = BytesSource(model(values, version=version))
    found = read_layout(source)
    assert {t.name: t.shape for t in found.tensors} == {n: v.shape for n, v in values.items()}
    assert {t.name: read_array(t, source).tobytes() for t in found.tensors} == {
        name: value.tobytes() for name, value in values.items()
    }


def test_the_specification_is_the_architecture() -> None:
    found = read_layout(BytesSource(model()))
    assert found.architecture is not None
    assert (found.architecture.family, found.architecture.class_name) == ("whisper", "WhisperSpec")
    assert found.metadata == {"spec": "WhisperSpec", "revision": 3, "version": 6}


def test_numbers_without_axes_are_settings_not_weights() -> None:
    roles = {t.name: t.role for t in read_layout(BytesSource(model())).tensors}
    assert roles["decoder/num_heads"] is Role.METADATA
    assert roles["decoder/weight"] is Role.WEIGHTS


def test_an_alias_is_the_variable_and_its_scale() -> None:
    found = read_layout(BytesSource(model(aliases={"projection": "decoder/weight"})))
    spans = {t.name: t.span for t in found.tensors}
    assert spans["projection"] == spans["decoder/weight"]
    assert spans["projection_scale"] == spans["decoder/weight_scale"]


def test_an_alias_of_nothing_is_refused() -> None:
    with pytest.raises(MalformedError, match="'nothing', which is missing"):
        read_layout(BytesSource(model(aliases={"projection": "nothing"})))


@pytest.mark.parametrize("alias", ["decoder/norm", "decoder/weight"])
def test_an_alias_that_is_a_variable_is_refused(alias: str) -> None:
    with pytest.raises(MalformedError, match="two variables are called"):
        read_layout(BytesSource(model(aliases={alias: "decoder/weight"})))


def test_sizes_that_contradict_the_shape_are_refused() -> None:
    data = model({"w": np.ones(4, np.float32)})
    changed = data.replace(struct.pack("<BI", 0, 16), struct.pack("<BI", 0, 12))
    with pytest.raises(MalformedError, match="of shape \\(4,\\) has 12 bytes"):
        read_layout(BytesSource(changed))


def test_unknown_types_are_refused() -> None:
    data = model({"w": np.ones(4, np.float32)})
    changed = data.replace(struct.pack("<BI", 0, 16), struct.pack("<BI", 9, 16))
    with pytest.raises(MalformedError, match="unknown type 9"):
        read_layout(BytesSource(changed))


def test_newer_versions_are_refused_by_number() -> None:
    with pytest.raises(MalformedError, match="version 7 is newer than 6"):
        read_layout(BytesSource(model(version=7)))


def test_a_claim_of_billions_of_variables_costs_nothing() -> None:
    with pytest.raises(LimitError, match="variables"):
        read_layout(BytesSource(model(count=(1 << 32) - 1)))


def test_files_with_another_name_at_their_start_are_something_else() -> None:
    with pytest.raises(UnknownFormatError):
        read_layout(BytesSource(model(spec="Whisper")))
