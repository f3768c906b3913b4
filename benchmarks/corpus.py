"""Builds a family of checkpoints to measure stores by, the same from the same seed.

    python benchmarks/corpus.py --folder DIR [--small]

From the real MiniLM: casts, a training series with optimizer state, full, frozen-layer and
LoRA-merged fine-tunes in fp32 and bf16, GGUF quantisations, other containers; and a small GPT
trained from scratch with its series. A folder that holds the corpus already is used as it is.
"""

import argparse
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import corpus_training as training
import gguf
import numpy as np
import torch
from corpus_training import FULL, SMALL, TINY, Contrastive, Scale
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

SEED = 4
THREADS = 1  # two, on cores that others use too, wait for each other
SCALES = {"full": FULL, "small": SMALL, "tiny": TINY}
QUANTISATIONS = ("Q8_0", "Q4_0", "Q5_0")
BASE = "base.safetensors"
BASE_BF16 = "base-bf16.safetensors"

# Groups, in the order they are reported and uploaded.
GROUPS = (
    "base", "casts", "fine-tunes fp32", "fine-tunes bf16", "LoRA-merged", "series weights",
    "series Adam", "gpt weights", "gpt Adam", "quantisations", "duplicates",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Entry:
    """A file of the corpus, in the order of upload.

    `base` is what its card would declare; `parent` the file it is in truth nearest to, which a
    card of a training step or of an optimizer's state does not say.
    """

    name: str
    group: str
    base: str | None = None
    parent: str | None = None


class Builder:
    """Writes the files of one corpus."""

    def __init__(self, folder: Path, scale: Scale) -> None:
        self._folder, self._scale = folder, scale
        self.entries: list[Entry] = []

    def build(self) -> None:
        """Everything, in order."""
        self._base()
        self._fine_tunes()
        self._lora()
        self._encoder_series()
        self._gpt()
        self._quantisations()
        self._duplicates()

    def _note(self, name: str, group: str, base: str | None, parent: str | None) -> Path:
        self.entries.append(Entry(name, group, base, parent or base))
        return self._folder / name

    def _save(
        self, tensors: dict[str, Tensor], name: str, group: str,
        base: str | None = None, parent: str | None = None,
    ) -> None:  # fmt: skip
        path = self._note(name, group, base, parent)
        save_file({key: value.detach().contiguous() for key, value in tensors.items()}, path)

    def _load(self, name: str) -> dict[str, Tensor]:
        return load_file(self._folder / name)

    def _base(self) -> None:
        weights = training.encoder(self._scale).state_dict()
        self._save(weights, BASE, "base")
        self._save(cast(weights, torch.bfloat16), BASE_BF16, "casts", None, BASE)
        self._save(cast(weights, torch.float16), "base-fp16.safetensors", "casts", None, BASE)

    def _fine_tunes(self) -> None:
        last = self._scale.layers - max(1, self._scale.layers // 3)
        kept = tuple(f"encoder.layer.{n}." for n in range(last, self._scale.layers))

        def early(name: str) -> bool:
            return not name.startswith(("pooler.", *kept))

        for name, rate, freeze in (("a", 2e-5, None), ("b", 1e-4, None), ("frozen", 5e-5, early)):
            made = training.fine_tuned(self._scale, ord(name[0]), rate, freeze).state_dict()
            self._save(made, f"tuned-{name}.safetensors", "fine-tunes fp32", BASE)
            half = cast(made, torch.bfloat16)
            whole = f"tuned-{name}.safetensors"
            self._save(half, f"tuned-{name}-bf16.safetensors", "fine-tunes bf16", BASE_BF16, whole)
        half = training.fine_tuned_in_bf16(self._scale, 7, 1e-4).state_dict()
        self._save(half, "trained-in-bf16.safetensors", "fine-tunes bf16", BASE_BF16)

    def _lora(self) -> None:
        for rank in (4, 8, 16):
            model = training.encoder(self._scale)
            config = LoraConfig(r=rank, lora_alpha=2 * rank, target_modules=["query", "value"])
            torch.manual_seed(rank)
            adapted = get_peft_model(model, config)
            optimizer = training.adamw(adapted, 1e-3)
            Contrastive(self._scale, rank).run(adapted, optimizer, self._scale.steps)
            adapters = {k: v.clone() for k, v in adapted.state_dict().items() if "lora_" in k}
            merged = adapted.merge_and_unload().state_dict()
            self._save(merged, f"lora{rank}-fp32.safetensors", "LoRA-merged", BASE)
            half = get_peft_model(training.encoder(self._scale).bfloat16(), config)
            half.load_state_dict(adapters, strict=False)
            merged = half.merge_and_unload(safe_merge=False).bfloat16().state_dict()
            self._save(merged, f"lora{rank}-bf16.safetensors", "LoRA-merged", BASE_BF16)

    def _encoder_series(self) -> None:
        model = training.encoder(self._scale)
        optimizer = training.adamw(model, 2e-5)
        task = Contrastive(self._scale, SEED)
        for save in range(1, self._scale.saves + 1):
            task.run(model, optimizer, self._scale.steps)
            self._step(model, optimizer, "series", save, BASE)

    def _gpt(self) -> None:
        for save, (model, optimizer) in enumerate(training.gpt_series(self._scale, SEED), 1):
            self._step(model, optimizer, "gpt", save, None)

    def _step(
        self, model: nn.Module, optimizer: torch.optim.Optimizer, what: str, save: int,
        base: str | None,
    ) -> None:  # fmt: skip
        before = f"{what}-{save - 1}.safetensors" if save > 1 else None
        weights = f"{what}-{save}.safetensors"
        self._save(model.state_dict(), weights, f"{what} weights", base, before)
        before = f"{what}-{save - 1}-optimizer.pt" if save > 1 else None
        path = self._note(f"{what}-{save}-optimizer.pt", f"{what} Adam", None, before)
        torch.save(optimizer.state_dict(), path)

    def _quantisations(self) -> None:
        for kind in QUANTISATIONS:
            self._quantise(BASE, f"base-{kind}.gguf", kind, None)
        for kind in QUANTISATIONS:
            self._quantise("tuned-a.safetensors", f"tuned-a-{kind}.gguf", kind, f"base-{kind}.gguf")

    def _quantise(self, source: str, name: str, kind: str, base: str | None) -> None:
        path = self._note(name, "quantisations", base, source)
        writer = gguf.GGUFWriter(path, "bert")
        for key, tensor in self._load(source).items():
            values = tensor.numpy()
            if values.ndim == 2 and values.shape[1] % 32 == 0:
                wanted = gguf.GGMLQuantizationType[kind]
                data = gguf.quants.quantize(values, wanted)
                writer.add_tensor(key, data, raw_dtype=wanted)
            else:
                plain = values if values.dtype == np.float32 else values.astype(np.int32)
                writer.add_tensor(key, plain)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()

    def _duplicates(self) -> None:
        weights = self._load("tuned-a.safetensors")
        torch.save(weights, self._note("tuned-a.pt", "duplicates", None, "tuned-a.safetensors"))
        names = sorted(self._load(BASE))
        for number in (0, 1):
            shard = {key: self._load(BASE)[key] for key in names[number::2]}
            self._save(shard, f"base-{number + 1}-of-2.safetensors", "duplicates", BASE)
        copy = self._note("base-again.safetensors", "duplicates", BASE, None)
        copy.write_bytes((self._folder / BASE).read_bytes())


def cast(weights: dict[str, Tensor], dtype: torch.dtype) -> dict[str, Tensor]:
    """The weights in another float type; whole numbers as they are."""
    return {k: v.to(dtype) if v.is_floating_point() else v for k, v in weights.items()}


def build(folder: Path, size: str) -> list[Entry]:
    """The corpus in a folder, made unless it is there already."""
    manifest = folder / "corpus.json"
    if not manifest.exists():
        folder.mkdir(parents=True, exist_ok=True)
        torch.set_num_threads(THREADS)
        builder = Builder(folder, SCALES[size])
        builder.build()
        manifest.write_text(json.dumps([asdict(entry) for entry in builder.entries], indent=1))
    return list(entries(folder))


def entries(folder: Path) -> Iterator[Entry]:
    """The files of a corpus that is built, grouped in the order of `GROUPS`."""
    found = [Entry(**row) for row in json.loads((folder / "corpus.json").read_text())]
    yield from sorted(found, key=lambda entry: GROUPS.index(entry.group))


def main() -> None:
    """Build the corpus and say how large it is."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--small", action="store_true")
    options = parser.parse_args()
    made = build(options.folder, "small" if options.small else "full")
    for group in GROUPS:
        files = [options.folder / entry.name for entry in made if entry.group == group]
        print(f"{group}: {sum(f.stat().st_size for f in files) / 1e6:.1f} MB in {len(files)} files")


if __name__ == "__main__":
    main()
