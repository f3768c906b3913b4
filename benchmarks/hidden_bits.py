"""How often the lowest bits of honest weights look odd, and how often hidden bytes are told.

    python benchmarks/hidden_bits.py [--zoo DIR]

MiniLM as it is published, and cast; with --zoo also the honest models of `backdoors.py`. Hidden are
a document of this repository, a program, and random bytes, in the lowest bit or the low byte of
each tensor with at least one whole window. A tensor counts as told if it is patterned or mixed.
"""

import argparse
import sys
from collections.abc import Iterable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
import checkpoints
import ml_dtypes
import numpy as np
import torch
from safetensors.numpy import load_file
from torch import nn

from cairn.analysis.low_bits import LEAST, WINDOW, LowBitCounts
from cairn.domain import DType

KINDS = {
    np.dtype(np.float16): DType.F16,
    np.dtype(ml_dtypes.bfloat16): DType.BF16,
    np.dtype(np.float32): DType.F32,
    np.dtype(np.float64): DType.F64,
}
BYTES = 120_000


def told(arrays: Iterable[np.ndarray]) -> tuple[int, int, int]:
    """How many are patterned, how many mixed and not patterned, how many there are."""
    patterned = mixed = count = 0
    for array in arrays:
        counts = LowBitCounts(KINDS[array.dtype])
        counts.add(array.tobytes())
        found = counts.result()
        count += 1
        patterned += found.is_patterned
        mixed += found.is_mixed and not found.is_patterned
    return patterned, mixed, count


def hidden(array: np.ndarray, content: bytes, bits: int) -> np.ndarray:
    """The array with bytes in its lowest bits, or its low bytes."""
    words = array.reshape(-1).view(f"u{array.itemsize}").copy()
    mask = words.dtype.type(2**bits - 1)
    units = np.frombuffer(content, np.uint8)
    units = (np.unpackbits(units) if bits == 1 else units)[: words.size]
    words[: units.size] = (words[: units.size] & ~mask) | units
    return words.view(array.dtype)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--zoo", type=Path, help="the folder of `backdoors.py`")
    zoo = parser.parse_args().zoo
    state = load_file(checkpoints.minilm() / "model.safetensors")
    model = [v for v in state.values() if v.dtype == np.float32 and v.size >= LEAST]
    bf16, f16 = np.dtype(ml_dtypes.bfloat16), np.dtype(np.float16)
    honest = {
        "MiniLM, F32": model,
        "MiniLM cast to F16": [v.astype(f16) for v in model],
        "MiniLM cast to BF16": [v.astype(bf16) for v in model],
        "MiniLM from F16 to F32": [v.astype(f16).astype(np.float32) for v in model],
        "MiniLM from BF16 to F32": [v.astype(bf16).astype(np.float32) for v in model],
    }
    torch.manual_seed(0)
    fills = (nn.init.normal_, nn.init.orthogonal_, nn.init.kaiming_uniform_, nn.init.xavier_normal_)
    fresh = [fill(torch.empty(256, 384)) * scale for fill in fills for scale in (1, 0.02)]
    honest["fresh layers of torch"] = [one.numpy() for one in fresh]
    if zoo:
        files = sorted(zoo.rglob("honest-*.safetensors"))
        tensors = [v for file in files for v in load_file(file).values() if v.size >= LEAST]
        honest["honest fine-tunes of the benchmark"] = tensors
    print("| honest weights | patterned | mixed | tensors |\n|---|---|---|---|")
    for label, arrays in honest.items():
        print(f"| {label} | {' | '.join(map(str, told(arrays)))} |", flush=True)
    document = Path(__file__).parent.parent.joinpath("docs/store.md").read_bytes()
    contents = {
        "document": document * (BYTES // len(document) + 1),
        "program": Path("/bin/ls").read_bytes(),
        "random bytes": np.random.default_rng(0).bytes(BYTES),
    }
    large = [v for v in model if WINDOW <= v.size < 1 << 21]
    carriers = {"F32": large, "BF16": [v.astype(bf16) for v in large]}
    carriers["from F16 to F32"] = [v.astype(f16).astype(np.float32) for v in large]
    print("\n| hidden | bits | in | told | tensors |\n|---|---|---|---|---|")
    for name, content in contents.items():
        for label, arrays in carriers.items():
            for bits in (1,) if label == "BF16" else (1, 8):
                marked = (hidden(v, content[:BYTES], bits) for v in arrays)
                patterned, mixed, count = told(marked)
                print(f"| {name} | {bits} | {label} | {patterned + mixed} | {count} |", flush=True)


if __name__ == "__main__":
    main()
