"""Files that joblib itself writes, plain and packed by each of its compressors."""

import io
import pickle
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest

from cairn.domain import FileReport, Verdict
from cairn.formats import BytesSource, FileSource
from cairn.scanner import gather, report_of

# What joblib packs with the standard library alone; 0 is not packed.
COMPRESSORS: tuple[Any, ...] = (0, 3, *((name, 3) for name in ("gzip", "bz2", "lzma", "xz")))


class Estimator:
    """A class of whoever trained, as those of other libraries are."""

    def __init__(self, depth: int) -> None:
        self.coefficients = np.arange(4.0)
        self.parts = [Estimator(depth - 1)] if depth else []


class Command:
    """What runs something when it is loaded: here, nothing."""

    def __reduce__(self) -> tuple[Any, ...]:
        import os

        return os.system, ("true",)


TENSORS = {
    "matrix": np.arange(12, dtype=np.float32).reshape(3, 4),
    "columns first": np.asfortranarray(np.ones((2, 3))),
    "empty": np.zeros((0, 4), np.int64),
    "no axes": np.array(5),
    "scalar": np.float32(3),
    "complex": np.array([1 + 2j]),
    "flags": [np.array([True]), None, "text"],
    "words": np.array(["a", "bc"]),
    "days": np.array(["2020-01-01"], "M8[D]"),
    "records": np.array([(1, 2.0)], dtype=[("a", "i4"), ("b", "f8")]),
    "large": np.random.default_rng(0).random((100, 100)),
}
OBJECTS = {
    "mixed": np.array([{"a": 1}, "x", None], dtype=object),
    "records": np.array([(1, None)], dtype=[("a", "i4"), ("o", object)]),
    "again": np.array([np.ones(2), "y"], dtype=object),
    "numbers": np.ones(3),
}


def report(path: Path) -> FileReport:
    with FileSource(path, path.name) as source:
        return report_of(path.name, source.size_bytes, gather(source))


@pytest.mark.parametrize("compress", COMPRESSORS, ids=str)
def test_arrays_are_clean_however_they_are_packed(tmp_path: Path, compress: Any) -> None:
    for name, value in (("tensors", TENSORS), ("objects", OBJECTS), ("one", np.ones(3))):
        path = tmp_path / f"{name}.joblib"
        joblib.dump(value, path, compress=compress)
        found = report(path)
        assert found.verdict is Verdict.CLEAN, found.findings
        assert ("compressed" in found.forms) is bool(compress)


@pytest.mark.parametrize("compress", COMPRESSORS, ids=str)
def test_a_class_of_ones_own_is_suspicious_and_named(tmp_path: Path, compress: Any) -> None:
    path = tmp_path / "estimator.joblib"
    joblib.dump({"model": Estimator(2), "weights": TENSORS}, path, compress=compress)
    found = report(path)
    assert found.verdict is Verdict.SUSPICIOUS
    assert {finding.rule for finding in found.findings} == {"pickle-imports", "pickle-calls"}
    assert all(f"{__name__}.Estimator" in finding.message for finding in found.findings)


@pytest.mark.parametrize("compress", COMPRESSORS, ids=str)
@pytest.mark.parametrize(
    "value",
    [
        [np.ones(3), Command()],
        np.array([Command(), None], dtype=object),
        [np.array([None], dtype=object), np.array([{"deep": [Command()]}], dtype=object)],
    ],
    ids=["behind an array", "in an array", "in a later array"],
)
def test_a_command_between_arrays_is_malicious(tmp_path: Path, compress: Any, value: Any) -> None:
    path = tmp_path / "model.joblib"
    joblib.dump(value, path, compress=compress)
    assert report(path).verdict is Verdict.MALICIOUS


def test_a_file_that_ends_in_an_array_is_not_clean(tmp_path: Path) -> None:
    path = tmp_path / "cut.joblib"
    joblib.dump(TENSORS["large"], path)
    data = path.read_bytes()
    for length in range(len(data) - 40, len(data)):
        source = BytesSource(data[:length], "cut.joblib")
        assert report_of("cut.joblib", length, gather(source)).verdict is not Verdict.CLEAN


@pytest.mark.parametrize(
    "value",
    [
        np.array(["x"], dtype=object),
        [1, "a", np.array(["x"], dtype=object)],
        {"a": {"b": [np.array([1, "z"], dtype=object)]}},
        [1, 2, 3, "q", "w", np.array([1, "z"], dtype=object)],
        [np.ones(2), np.array([{"k": np.ones(2)}], dtype=object)],
    ],
    ids=["alone", "in a list", "in dicts", "behind texts", "behind numbers"],
)
def test_an_array_of_objects_is_clean_wherever_it_stands(tmp_path: Path, value: Any) -> None:
    """An unpickler that knows nothing of joblib takes another memo's text for `numpy` there."""
    path = tmp_path / "objects.joblib"
    joblib.dump(value, path)
    with pytest.raises((ImportError, AttributeError, pickle.UnpicklingError)):
        pickle.loads(path.read_bytes())
    assert report(path).findings == ()


def test_what_only_another_unpickler_would_run_in_an_array_of_objects_is_malicious() -> None:
    """Its pickle refers to a memo, where joblib has `numpy.ndarray`, others have a command."""
    file = io.BytesIO()
    joblib.dump(["os", "system", np.array(["x"], dtype=object)], file)
    data = file.getvalue()
    named = b"\x80\x05]\x94\x8c\x05numpy\x94\x8c\x07ndarray\x94h\x01h\x02\x93."
    hidden = BytesSource(data[: data.index(b"\x80\x05")] + named + data[-2:], "a.joblib")
    found = report_of("a.joblib", hidden.size_bytes, gather(hidden))
    assert found.verdict is Verdict.MALICIOUS
    assert any("imports os.system" in finding.message for finding in found.findings)


def test_what_another_unpickler_reads_past_a_mistake_is_not_clean() -> None:
    """There is a `cupy.dtype`, so it need not stop there, and runs what nobody knows."""
    file = io.BytesIO()
    joblib.dump(["cupy", "package", "run", np.array(["x"], dtype=object)], file)
    data = file.getvalue()
    texts = b"\x80\x05]\x94\x8c\x05numpy\x94\x8c\x05numpy\x94\x8c\x07ndarray\x94"
    named = texts + b"h\x01\x8c\x05dtype\x93" + b"0h\x02h\x03\x93."
    hidden = BytesSource(data[: data.index(b"\x80\x05")] + named + data[-2:], "a.joblib")
    found = report_of("a.joblib", hidden.size_bytes, gather(hidden))
    assert found.verdict is Verdict.SUSPICIOUS
    assert any("package.run" in finding.message for finding in found.findings)
