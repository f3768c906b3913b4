"""Writes `store-1.json`: a small store of format 1, as files in base64.

Run once per format version, by the code that introduced it, and keep the result:
`python -m tests.old.make_store`. Never run again to make a failing test pass.
"""

import base64
import json
import tempfile
from pathlib import Path

import numpy as np

from cairn.store import open_local_store
from tests.store.making import layout_of, safetensors

FIXTURE = Path(__file__).with_name("store-1.json")


def contents() -> dict[str, bytes]:
    """What the store holds: made by arithmetic alone, so that it never changes."""
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
        for name, data in contents().items():
            digest = store.put_bytes(data).digest
            layout = layout_of(data) if name.endswith(".safetensors") else None
            store.optimize(digest, layout)
            digests[name] = digest.hex
        files = {
            path.relative_to(root).as_posix(): base64.b64encode(path.read_bytes()).decode()
            for path in sorted(root.rglob("*"))
            if path.is_file() and path.parent.name != "locks"
        }
    FIXTURE.write_text(json.dumps({"digests": digests, "files": files}, indent=1) + "\n")


if __name__ == "__main__":
    main()
