"""Writes the samples that modelscan's and fickling's tests build in code; none is ever loaded.

    VENV/bin/python benchmarks/scanner_samples.py modelscan CHECKOUT FOLDER
    VENV/bin/python benchmarks/scanner_samples.py fickling CHECKOUT FOLDER

Run by the Python of the other tools (fickling 0.1.12, dill, requests, aiohttp, numpy). Of
modelscan's tests the fixtures that write pickles and zip archives are run, with stand-ins for the
frameworks that the others need; with torch, tensorflow and tf_keras installed these as well. The
files of an unsafe saved model that its tests do not name are left out. Of fickling's, the tests
that only look at a pickle: what they hand
to `check_safety` is written down, as malicious unless it was found safe or the test is about what
must not be flagged. Arguments that would act if anybody loaded a sample stay text in it.
"""

import importlib
import importlib.util
import sys
import types
import unittest
from pathlib import Path
from typing import Any

_FICKLING_TESTS = (
    "test_bypasses",
    "test_expansion_attack_analysis",
    "test_scanner_deactivation_analysis",
)
_NOT_FLAGGED = "not_flagged"


# Of modelscan's fixtures: where each file is and what its tests say of it.
_FRAMEWORKS = {
    "tensorflow_file_path": {
        "saved_model_safe/*": "benign",
        "saved_model_unsafe/saved_model.pb": "malicious",
    },
    "keras_file_path": {
        "safe.*": "benign",
        "unsafe.*": "malicious",
        "saved_model_safe/*": "benign",
        "saved_model_unsafe/keras_metadata.pb": "malicious",
    },
    "numpy_file_path": {"safe_*": "benign", "unsafe_*": "malicious"},
    "pytorch_file_path": {"safe_*": "benign", "unsafe_*": "malicious"},
}


def modelscan(checkout: Path, folder: Path) -> None:
    """Run the fixtures, and sort what they wrote by its name."""
    whole = all(map(importlib.util.find_spec, ("torch", "tensorflow", "tf_keras")))
    if not whole:
        _stand_in("torch", "torch.nn", "tensorflow", "tf_keras")
    _stand_in("modelscan")
    for name in ("modelscan", "cli", "issues", "tools.picklescanner", "skip", "settings", "model"):
        _stand_in(f"modelscan.{name}")
    sys.path.insert(0, str(checkout / "tests"))
    tests: Any = importlib.import_module("test_modelscan")
    written = folder / "written"
    for fixture in (tests.zip_file_path, tests.file_path):
        _plain(fixture)(_Folders(written))
    for path in (*written.rglob("*"), *(checkout / "tests" / "data").iterdir()):
        if path.is_file() and not path.name.startswith("password"):
            label = "benign" if path.name.startswith("benign") else "malicious"
            _write(folder / label / path.name, path.read_bytes())
    for name, labels in _FRAMEWORKS.items() if whole else ():
        root = written / name
        given = (["h5", "keras", "pb"],) if name == "keras_file_path" else ()
        _plain(getattr(tests, name))(_Folders(root), *given)
        for pattern, label in labels.items():
            for path in root.glob(f"*/{pattern}"):
                if path.is_file():
                    within = path.relative_to(root)
                    _write(folder / label / within, path.read_bytes())


class _Folders:
    """pytest's `tmp_path_factory`."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def mktemp(self, name: str) -> Path:
        """A new folder."""
        folder = self._root / name
        folder.mkdir(parents=True)
        return folder


class _Anything(types.ModuleType):
    """A module whose every attribute is a class that can be called and decorated with."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return type(name, (), {"__init__": _with_anything, "__call__": _same})


def _same(self: object, wrapped: object) -> object:
    del self
    return wrapped


def _with_anything(self: object, *given: object, **named: object) -> None:
    del self, given, named


def _stand_in(*names: str) -> None:
    for name in names:
        sys.modules[name] = _Anything(name)
        sys.modules[name].__path__ = []
    tensorflow = sys.modules.get("tensorflow")
    if isinstance(tensorflow, _Anything):
        tensorflow.float32 = None  # type: ignore[attr-defined]


def _plain(fixture: Any) -> Any:
    """The function that pytest made a fixture of."""
    return getattr(fixture, "__wrapped__", None) or fixture.__pytest_wrapped__.obj


def fickling(checkout: Path, folder: Path) -> None:
    """Run the tests that only look at pickles, and write down what they look at."""
    sys.path[:0] = [str(checkout / "test"), str(checkout)]
    for name in _FICKLING_TESTS:
        tests: Any = importlib.import_module(name)
        check, running = tests.check_safety, [""]

        def record(pickled: Any, *rest: Any, **more: Any) -> Any:
            found = check(pickled, *rest, **more)  # noqa: B023 - called in this round
            safe = found.severity.name == "LIKELY_SAFE" or running[0].endswith(_NOT_FLAGGED)  # noqa: B023
            label = "benign" if safe else "malicious"
            number = len(list((folder / label).glob("*"))) if (folder / label).exists() else 0
            _write(folder / label / f"{running[0]}-{number}.pkl", pickled.dumps(reframe=False))  # noqa: B023
            return found

        tests.check_safety = record
        for case in _cases(unittest.defaultTestLoader.loadTestsFromModule(tests)):
            running[0] = case.id().rpartition(".")[2]
            case.run(unittest.TestResult())


def _cases(suite: Any) -> list[unittest.TestCase]:
    if isinstance(suite, unittest.TestCase):
        return [suite]
    return [case for part in suite for case in _cases(part)]


def _write(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


if __name__ == "__main__":
    {"modelscan": modelscan, "fickling": fickling}[sys.argv[1]](
        Path(sys.argv[2]), Path(sys.argv[3])
    )
