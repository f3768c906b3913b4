"""Every reader and assembler: held to its suite; readers import no framework and no unpickler."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from cairn.domain import TensorInfo
from cairn.formats import READERS, BytesSource, read_layout
from fuzz.folders import MARK, packed, unpacked
from fuzz.listings import layout_of, listing
from fuzz.seeds import assembler_suites, suites, write

READ_ALL = """
import json, sys
from pathlib import Path
from cairn.formats import FileSource, read_layout
from itertools import islice
values = {values}
if values:
    from cairn.errors import UntrustedDataError
    from cairn.formats.values import blocks
met = set()
for path in sorted(Path(sys.argv[1]).rglob("*")):
    if path.is_file():
        with FileSource(path) as source:
            layout = read_layout(source)
            met.add(layout.format)
            for tensor in layout.tensors if values else ():
                try:
                    list(islice(blocks(tensor, source), 4))
                except UntrustedDataError:
                    pass  # pieces in files that are not here
loaded = sorted({{name.partition(".")[0] for name in sys.modules}})
print(json.dumps([sorted(met), loaded]))
"""
FRAMEWORKS = {
    *("torch", "tensorflow", "jax", "flax", "keras", "transformers", "onnx", "h5py", "gguf"),
    *("msgpack", "safetensors", "google"),
}
UNPICKLERS = {"pickle", "_pickle", "dill", "cloudpickle", "joblib"}


def test_every_built_in_reader_has_a_conformance_suite() -> None:
    assert [name for name, found in suites().items() if not found] == []


def test_every_built_in_assembler_has_a_conformance_suite() -> None:
    assert [name for name, found in assembler_suites().items() if not found] == []


def test_what_fuzzing_starts_from_says_what_was_read() -> None:
    """A listing stands for the layout it was made of, places aside; a folder for its files."""
    for suite in (suite for found in suites().values() for suite in found):
        for data in suite.make().values():
            layout = read_layout(BytesSource(data))
            again = layout_of(listing(layout))
            assert [describing(t) for t in again.tensors] == [describing(t) for t in layout.tensors]
            assert (again.format, again.modules, again.sections) == (
                *(layout.format, layout.modules, layout.sections),
            )
            assert again.metadata.keys() == layout.metadata.keys()
    folder = {"a/config.json": b"{}\n", "b": MARK[:3]}
    assert unpacked(b"junk" + packed(folder)) == folder


def describing(tensor: TensorInfo) -> tuple[object, ...]:
    return tensor.name, tensor.dtype, tensor.shape, tensor.role, tensor.container


@pytest.fixture(scope="module")
def samples(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("samples")
    write(folder, [reader.name for reader in READERS])
    return folder


def read_all(samples: Path, *, values: bool) -> tuple[set[str], set[str]]:
    """Formats met and modules loaded when every sample of every reader is read."""
    done = subprocess.run(
        [sys.executable, "-c", READ_ALL.format(values=values), samples],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    met, loaded = json.loads(done.stdout)
    return set(met), set(loaded)


def test_listing_every_format_imports_no_framework_no_unpickler_and_no_arrays(
    samples: Path,
) -> None:
    met, loaded = read_all(samples, values=False)
    assert met == {reader.name for reader in READERS}
    assert loaded & (FRAMEWORKS | UNPICKLERS | {"numpy", "numba"}) == set()


def test_reading_the_values_of_every_format_imports_no_framework(samples: Path) -> None:
    _, loaded = read_all(samples, values=True)
    assert "numpy" in loaded  # which imports pickle itself; nothing of ours calls it
    assert loaded & FRAMEWORKS == set()
