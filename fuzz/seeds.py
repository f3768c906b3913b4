"""Valid inputs to start from: what the conformance suites are made of, and models of families.

    python -m fuzz.seeds FOLDER [NAME ...]

writes FOLDER/<name>/<sample> and prints the names: those of the readers, `assembler-<name>` for
each assembler, `conclusions`, `scanner-<name>` for each extractor of the scanner, and
`scanner-all`.
"""

import importlib
import json
import sys
from collections.abc import Iterable, Iterator, Mapping
from hashlib import sha256
from math import prod
from pathlib import Path
from typing import Any

from cairn.domain import DType, Layout, Role, Span, Storage, TensorInfo
from cairn.formats import ASSEMBLERS, READERS, BytesSource, read_layout
from cairn.scanner import EXTRACTORS
from cairn.testing.assemblers import AssemblerConformance, Contents, layouts_of
from cairn.testing.readers import ReaderConformance
from fuzz.folders import packed
from fuzz.listings import SUFFIX, listing

ROOT = Path(__file__).parent.parent
ASSEMBLER = "assembler-"
CONCLUSIONS = "conclusions"
SCANNER = "scanner-"
SCANNED_NAMES = (
    *("file.pkl", "file.pt", "file.bin", "file", "file.safetensors", "file.gguf", "file.onnx"),
    *("file.pb", "file.h5", "file.keras", "file.npy", "file.npz", "config.json", "config.yaml"),
    *("chat_template.jinja", "file.py", "file.pth", "file.pbtxt", "m/code/__torch__.py"),
    *("m/bytecode.pkl", "keras_metadata.pb", "tokenizer.model", "file.xml", "file.raw", "file.csv"),
    *("events.out.tfevents.1", "fingerprint.pb", "file.png", "README.md", "file.7z", "file.tar"),
    *("file.ipynb", "run.sh", "requirements.txt", "pyproject.toml", "package.json", "MLmodel"),
    *("pickle_module_info.txt", "__0_0.distcp", "file.parquet", "workflow.yml", "tasks.json"),
)
"""What inputs of the scanner's targets are called, by their first byte."""
MAX_PARAMETERS = 60  # of a model that is a seed: inputs stay small


def suites() -> dict[str, list[type[ReaderConformance]]]:
    """The conformance suites of the built-in readers, by the reader's name."""
    found: dict[str, list[type[ReaderConformance]]] = {reader.name: [] for reader in READERS}
    for suite in _suites(ReaderConformance):
        if suite.reader.name in found:
            found[suite.reader.name].append(suite)
    return found


def assembler_suites() -> dict[str, list[type[AssemblerConformance]]]:
    """The conformance suites of the built-in assemblers, by the assembler's name."""
    found: dict[str, list[type[AssemblerConformance]]] = {each.name: [] for each in ASSEMBLERS}
    for suite in _suites(AssemblerConformance):
        if suite.assembler.name in found:
            found[suite.assembler.name].append(suite)
    return found


def _suites(kind: type[Any]) -> Iterator[type[Any]]:
    for path in sorted((ROOT / "tests/formats").glob("test_*.py")):
        if kind.__name__ in path.read_text():
            importlib.import_module(f"tests.formats.{path.stem}")
    for suite in _subclasses(kind):
        is_real = hasattr(suite, "reader") or hasattr(suite, "assembler")
        if is_real and suite.__module__.startswith("tests.formats."):
            yield suite


def _subclasses(suite: type[Any]) -> Iterator[type[Any]]:
    for child in suite.__subclasses__():
        yield child
        yield from _subclasses(child)


def samples(name: str) -> Iterator[bytes]:
    """The inputs that the target of this name starts from."""
    if name == CONCLUSIONS:
        yield from _conclusions()
    elif name.startswith(SCANNER):
        yield from _scanned(name.removeprefix(SCANNER))
    elif name.startswith(ASSEMBLER):
        for suite in assembler_suites()[name.removeprefix(ASSEMBLER)]:
            yield from map(packed, suite.make().values())
    else:
        for suite in suites()[name]:
            yield from suite.make().values()


def names() -> list[str]:
    """All targets."""
    return [
        *(reader.name for reader in READERS),
        *(ASSEMBLER + assembler.name for assembler in ASSEMBLERS),
        CONCLUSIONS,
        *(SCANNER + extractor.name for extractor in EXTRACTORS),
        SCANNER + "all",
    ]


def _scanned(name: str) -> Iterator[bytes]:
    """The files of attack cases that an extractor claims, under each name for which it does."""
    from tests.scanner import (
        test_attack_cases,
        test_form_cases,
        test_held_out,
        test_published_bypasses,
    )

    suites = (test_attack_cases, test_form_cases, test_held_out, test_published_bypasses)
    cases = [case for suite in suites for case in suite.CASES]
    contents = [data for case in cases for data in case.files.values() if len(data) < _MOST_BYTES]
    for data in contents:
        for number, called in enumerate(SCANNED_NAMES):
            source = BytesSource(data, called)
            if name == "all" or EXTRACTORS.get(name).claims(data[:4096], source):
                yield bytes([number]) + data
                break


_MOST_BYTES = 16 << 10


# --- conclusions ---------------------------------------------------------------------------


def _conclusions() -> Iterator[bytes]:
    """Models of all families with configuration and optimizer, files of all formats, folders."""
    from tests.formats.families.development import MODELS, shapes_of

    for family, make in MODELS.values():
        model = make()
        shapes = dict(list(shapes_of(model).items())[:MAX_PARAMETERS])
        config = getattr(getattr(model, "config", None), "to_dict", dict)()
        yield packed(
            {
                "config.json": json.dumps(config or {"model_type": family}, default=str).encode(),
                f"model.safetensors{SUFFIX}": listing(_layout("safetensors", weights(shapes))),
                f"optimizer.pt{SUFFIX}": listing(_layout("torch-zip", *adam(shapes))),
                "trainer_state.json": b'{"epoch": 1.0, "global_step": 3, "log_history": []}',
            }
        )
    for suite in (suite for found in suites().values() for suite in found):
        for data in suite.make().values():
            text = listing(read_layout(BytesSource(data)))
            yield packed({f"a/x.bin{SUFFIX}": text, f"b/x.bin{SUFFIX}": text})
    for suite in (suite for found in assembler_suites().values() for suite in found):
        yield from map(_with_listings, suite.make().values())
    part = _layout("safetensors", weights({"encoder.layer.0.weight": (2, 3)}))
    yield packed(
        {
            "model_index.json": b'{"_class_name": "P", "unet": ["diffusers", "U"]}',
            "unet/config.json": b'{"_class_name": "U"}',
            f"unet/model-00001-of-00002.safetensors{SUFFIX}": listing(part),
            "unet/model.safetensors.index.json": b'{"weight_map": {"w": "model-00001-of-00002"}}',
        }
    )


def _with_listings(contents: Contents) -> bytes:
    """A folder whose readable files are given as what is read from them."""
    layouts = layouts_of(contents)
    listed = {path + SUFFIX: listing(layout) for path, layout in layouts.items()}
    return packed({**{p: d for p, d in contents.items() if p not in layouts}, **listed})


def weights(shapes: Mapping[str, tuple[int, ...]]) -> list[TensorInfo]:
    """Tensors of these shapes, one after the other."""
    return _placed((name, shape, Role.WEIGHTS) for name, shape in shapes.items())


def adam(shapes: Mapping[str, tuple[int, ...]]) -> tuple[list[TensorInfo], dict[str, Any]]:
    """The state of an optimizer of one group over parameters of these shapes."""
    states = [
        (f"state.{number}.{what}", shape, Role.OPTIMIZER)
        for number, shape in enumerate(shapes.values())
        for what in ("exp_avg", "exp_avg_sq")
    ]
    values = {"param_groups.0.lr": 0.1, "param_groups.0.params": f"[{len(shapes)} values]"}
    return _placed(states), values


def _placed(named: Iterable[tuple[str, tuple[int, ...], Role]]) -> list[TensorInfo]:
    tensors, at = [], 0
    for name, shape, role in named:
        size = DType.F32.size_bytes(prod(shape))
        tensors.append(TensorInfo(name, DType.F32, shape, Span(at, at + size), role))
        at += size
    return tensors


def _layout(
    kind: str, tensors: list[TensorInfo], values: Mapping[str, Any] | None = None
) -> Layout:
    size = max((tensor.span.stop for tensor in tensors), default=0)
    storages = (Storage(Span(0, size), DType.F32),)
    return Layout(kind, size, tuple(tensors), storages, values or {})


def write(folder: Path, wanted: list[str]) -> list[str]:
    """Write the samples of these targets, of all if none is named; returns the names."""
    for name in wanted or names():
        place = folder / name
        place.mkdir(parents=True, exist_ok=True)
        for data in samples(name):
            (place / sha256(data).hexdigest()[:16]).write_bytes(data)
    return wanted or names()


if __name__ == "__main__":
    print("\n".join(write(Path(sys.argv[1]), sys.argv[2:])))
