"""Writes `store-<version>.json`: a small store of the present format, as files in base64.

Run once per format version, by the code that introduced it, and keep the result:
`python -m tests.old.make_store`. Never run again to make a failing test pass.
"""

import base64
import json
import tempfile
from pathlib import Path

import numpy as np

from cairn.store import open_local_store
from cairn.store.format_mark import VERSION
from tests.store.making import layout_of, safetensors


def fixture(version: int) -> Path:
    """The file that holds the store of a format version."""
    return Path(__file__).with_name(f"store-{version}.json")


def contents(version: int) -> dict[str, bytes]:
    """What the store of a version holds: made by arithmetic alone, so that it never changes."""
    return contents_1() | (contents_2() if version >= 2 else {})


def contents_2() -> dict[str, bytes]:
    """A tensor, two steps of a training, and the casts of the first."""
    steps = np.arange(33_000, dtype="<u8")
    noise = (steps + 1) * 0x9E3779B97F4A7C15  # splitmix64: arithmetic, and nothing to compress
    noise = (noise ^ (noise >> 30)) * 0xBF58476D1CE4E5B9
    noise = (noise ^ (noise >> 27)) >> 40
    signs = (noise & 1) << 31
    base = (signs | (0x3C000000 + (noise & 0x0FFF000))).astype("<u4")
    first = base + (steps * 31 % 17).astype("<u4")
    second = first + (steps * 37 % 13).astype("<u4")
    rounded = (base + 0x7FFF + ((base >> 16) & 1)) >> 16
    tensors = {
        "base.safetensors": ("F32", base.tobytes()),
        "step-1.safetensors": ("F32", first.tobytes()),
        "step-2.safetensors": ("F32", second.tobytes()),
        "bfloat16.safetensors": ("BF16", rounded.astype("<u2").tobytes()),
        "float16.safetensors": ("F16", base.view("<f4").astype("<f2").tobytes()),
    }
    return {name: safetensors({"weight": tensor}) for name, tensor in tensors.items()}


def contents_1() -> dict[str, bytes]:
    """Every kind of object and codec of the first version."""
    wave = (np.arange(9_000, dtype="<i4") * 7919 % 251).astype("<f4") / np.float32(1000)
    tensors = {
        "half": ("BF16", (wave.view("<u4") >> 16).astype("<u2").tobytes()),
        "positions": ("I64", np.arange(4_000, dtype="<i8").tobytes()),
        "single": ("F32", wave.tobytes()),
        "single.bias": ("F32", wave[:5].tobytes()),
        "zeros": ("F64", bytes(40_000)),
    }
    noise = bytearray(5_000)
    for at in range(1, 5_000):
        noise[at] = (noise[at - 1] * 181 + 359 + at // 7) % 256
    return {
        "model.safetensors": safetensors(tensors),
        "tied.safetensors": safetensors({**tensors, "single.again": tensors["single"]}),
        "vocab.txt": "".join(f"token{n}\n" for n in range(9_000)).encode(),
        "config.json": b'{"model_type": "bert"}\n',
        "empty": b"",
        "noise": bytes(noise) * 14,
    }


def main() -> None:
    """Make the store and write the fixture."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "store"
        store = open_local_store(root)
        digests = {}
        for name, data in contents(VERSION).items():
            digest = store.put_bytes(data).digest
            layout = layout_of(data) if name.endswith(".safetensors") else None
            store.optimize(digest, layout)
            digests[name] = digest.hex
        files = {
            path.relative_to(root).as_posix(): base64.b64encode(path.read_bytes()).decode()
            for path in sorted(root.rglob("*"))
            if path.is_file() and path.parent.name != "locks"
        }
    fixture(VERSION).write_text(json.dumps({"digests": digests, "files": files}, indent=1) + "\n")


if __name__ == "__main__":
    main()
