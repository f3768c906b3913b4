"""Files of very many small parts: work grows as the file does, and at the caps memory is bounded.

Work is counted in calls of functions, so that a slow machine changes nothing.
"""

import io
import pickle
import resource
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import h5py
import msgpack
import numpy as np
import pytest
import torch
from onnx import TensorProto

from cairn.errors import UntrustedDataError
from cairn.formats import BytesSource, read_layout
from cairn.testing.readers import CountingSource
from tests.formats.making import Persistent, archive, pickled, rebuilt, safetensors_bytes, saved
from tests.formats.test_coreml import message as field
from tests.formats.test_coreml import number, weights
from tests.formats.test_gguf import array, head, info
from tests.formats.test_onnx import bytes_with
from tests.formats.test_torch_legacy import by_hand

Make = Callable[[int], bytes]
FEW, MANY = 50, 400
MAX_RSS_MB = 700
"""Of a process that reads a file at a cap, 60 of them for the interpreter and tests' imports;
the worst pickles peak at 440, see `MAX_PICKLE_OBJECTS`."""


def views(count: int) -> bytes:
    return pickled({f"w{n}": rebuilt(Persistent("0", 4)) for n in range(count)})


def storages(count: int) -> bytes:
    parts = {n: rebuilt(Persistent(str(n), 1), 0, (1,), (1,)) for n in range(count)}
    return pickled({f"w{n}": part for n, part in parts.items()})


def zip_of(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as out:
        for name, data in files.items():
            out.writestr(name, data)
    return buffer.getvalue()


def npy() -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, np.ones(1, np.uint8))
    return buffer.getvalue()


def tar(count: int) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as out:
        for name in ("model_config.yaml", *(f"m{n}" for n in range(count))):
            out.addfile(tarfile.TarInfo(name))
    return buffer.getvalue()


def hdf5(fill: Callable[[h5py.File], None], **options: str) -> bytes:
    buffer = io.BytesIO()
    with h5py.File(buffer, "w", **options) as file:
        fill(file)
    return buffer.getvalue()


def datasets(count: int) -> bytes:
    def fill(file: h5py.File) -> None:
        for n in range(count):
            file.create_dataset(f"w{n}", data=np.ones(1))

    return hdf5(fill)


def attributes(count: int) -> bytes:
    return hdf5(lambda file: file.attrs.update({f"a{n}": n for n in range(count)}), libver="latest")


def chunks(count: int) -> bytes:
    data = np.ones(count, np.uint8)
    return hdf5(lambda file: file.create_dataset("w", data=data, chunks=(1,)) and None)


def float_of(n: int) -> TensorProto:
    return TensorProto(name=f"w{n}", data_type=TensorProto.FLOAT, dims=[1], raw_data=bytes(4))


def flax(count: int) -> bytes:
    one = msgpack.ExtType(1, msgpack.packb(((1,), "uint8", b"x")))
    return msgpack.packb({f"w{n}": one for n in range(count)})


def bytes_by_name(count: int) -> bytes:
    return safetensors_bytes(
        {f"w{n}": {"dtype": "U8", "shape": [1], "data_offsets": [n, n + 1]} for n in range(count)},
        bytes(count),
    )


MAKERS: dict[str, Make] = {
    "torch-zip, views": lambda n: archive(views(n), {"0": bytes(16)}),
    "torch-zip, storages": lambda n: archive(storages(n), {str(i): bytes(4) for i in range(n)}),
    "torch-legacy, views": lambda n: by_hand(views(n), [("0", 4, bytes(16))]),
    "torch-legacy, storages": lambda n: by_hand(
        storages(n), [(str(i), 1, bytes(4)) for i in range(n)]
    ),
    "safetensors": bytes_by_name,
    "npz": lambda n: zip_of({f"a{i}.npy": npy() for i in range(n)}),
    "a zip that is none of ours": lambda n: zip_of({f"a/{i}": b"" for i in range(n)}),
    "gguf, tensors": lambda n: head(
        infos=[info(f"w{i}", (8,), offset=32 * i) for i in range(n)], data=bytes(32 * n)
    ),
    "gguf, strings": lambda n: head(pairs=[("k", array(8, n, bytes(8 * n)))]),
    "onnx, initializers": lambda n: bytes_with(*map(float_of, range(n))),
    "onnx, nodes": lambda n: number(1, 7) + field(7, *[field(1, field(4, b"A"))] * n) + field(8),
    "flax": flax,
    "msgpack, nothing": lambda n: msgpack.packb({"w": [None] * n}),
    "hdf5, datasets": datasets,
    "hdf5, attributes": attributes,
    "hdf5, chunks": chunks,
    "mil-blob": lambda n: weights(*[(2, bytes(64))] * n),
    "distcp": lambda n: saved(torch.ones(1)) * n,
    "pickle, lists": lambda n: b"\x80\x02]" + b"(]]]e" * n + b".",
    "pickle, arrays": lambda n: pickle.dumps({f"w{i}": np.ones(1) for i in range(n)}, 4),
    "tar": tar,
}


def work(data: bytes) -> tuple[int, int]:
    """Calls made and bytes read while a file is laid out or refused."""
    calls = 0

    def count(frame: object, event: str, arg: object) -> None:
        nonlocal calls
        calls += 1

    source = CountingSource(BytesSource(data, "x"))
    sys.setprofile(count)
    try:
        with suppress(UntrustedDataError):
            read_layout(source)
    finally:
        sys.setprofile(None)
    return calls, source.bytes_read


@pytest.mark.parametrize("kind", MAKERS)
def test_work_grows_no_faster_than_the_file(kind: str) -> None:
    make = MAKERS[kind]
    work(make(FEW))  # imports, and what is remembered by the process
    (calls, read), (more_calls, more_read) = work(make(FEW)), work(make(MANY))
    times = 1.3 * MANY / FEW
    assert more_calls <= times * calls
    assert more_read <= max(times * read, 3 * len(make(MANY)))


AT_THE_CAPS: dict[str, Make] = {
    "safetensors": lambda _: bytes_by_name(230_000),
    "pickle": lambda _: b"\x80\x02]" + b"(]]]e" * 700_000 + b".",
    "msgpack": lambda _: msgpack.packb({"w": [None] * 1_900_000}),
    "gguf": lambda _: head(pairs=[("k", array(8, 3_900_000, bytes(8 * 3_900_000)))]),
    "onnx": lambda _: number(1, 7) + field(7, *[field(1, field(4, b"A"))] * 600_000) + field(8),
    "npz": lambda _: zip_of({f"a{i}.npy": b"" for i in range(65_000)}),
}
READ = """
import re, sys
from pathlib import Path
from cairn.errors import UntrustedDataError
from cairn.formats import FileSource, read_layout
try:
    with FileSource(Path(sys.argv[1])) as source:
        read_layout(source)
except UntrustedDataError as error:
    print(error, file=sys.stderr)
# Not ru_maxrss: a child's counts what its parent held when it forked.
status = Path("/proc/self/status").read_text()
print(int(re.search(r"VmHWM:\\s+(\\d+) kB", status)[1]) // 1024)
"""


@pytest.mark.slow
@pytest.mark.parametrize("kind", AT_THE_CAPS)
def test_a_file_at_the_caps_is_read_in_bounded_memory_and_time(kind: str, tmp_path: Path) -> None:
    """Processor time, as the machine may be busy: these take 1 to 15 seconds of it."""
    path = tmp_path / "file"
    path.write_bytes(AT_THE_CAPS[kind](0))
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
    done = subprocess.run(
        [sys.executable, "-c", READ, path], capture_output=True, text=True, check=True, timeout=300
    )
    assert resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before < 60
    assert int(done.stdout) < MAX_RSS_MB, done.stderr
