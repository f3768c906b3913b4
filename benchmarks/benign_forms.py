"""One model written in every form that the frameworks of the development environment know.

Each writer takes a BERT and an empty folder. Nothing here is meant to look odd: what a scanner says
against any of it is a false alarm.
"""

import json
import os
import pickle
import shutil
import tarfile
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import msgpack
import numpy as np
import torch
import transformers
from safetensors.torch import save_file
from torch import nn

from scripts.format_checkpoints import trained

OPTIMIZERS = (
    *("AdamW", "Adam", "SGD", "Adagrad", "RMSprop", "NAdam", "RAdam", "Rprop", "ASGD"),
    *("Adadelta", "Adamax", "Adafactor"),
)

Arrays = dict[str, np.ndarray]


@dataclass(frozen=True, slots=True)
class Model:
    """A BERT of transformers, and the folder it came in if it has one."""

    net: Any
    folder: Path | None = None

    @property
    def tensors(self) -> dict[str, torch.Tensor]:
        """Its weights."""
        return dict(self.net.state_dict())

    @property
    def arrays(self) -> Arrays:
        """Its weights as NumPy has them."""
        return {name: tensor.numpy() for name, tensor in self.tensors.items()}

    @property
    def example(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Tokens and attention mask."""
        return torch.ones(1, 8, dtype=torch.long), torch.ones(1, 8, dtype=torch.long)


class Encoder(nn.Module):
    """The model as exporters want it: tensors in, one tensor out."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, tokens: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """The state of each token."""
        return self.net(input_ids=tokens, attention_mask=mask).last_hidden_state


Writer = Callable[[Model, Path], object]

TEMPLATES = {
    "default": "{% for m in messages %}{{ m.content }}{% endfor %}",
    "tool_use": "{{ messages[0]['content'] | trim }}",
}
LEGACY = {"_use_new_zipfile_serialization": False}


def as_it_came(model: Model, folder: Path) -> None:
    """The published folder with its tokenizer and card, or what transformers saves."""
    if model.folder is None:
        model.net.save_pretrained(folder)
    else:
        shutil.copytree(model.folder, folder, dirs_exist_ok=True)


def safetensors_casts(model: Model, folder: Path) -> None:
    for dtype in (torch.float32, torch.float16, torch.bfloat16, torch.float8_e4m3fn):
        tensors = {name: value.to(dtype) for name, value in model.tensors.items()}
        save_file(tensors, folder / f"{str(dtype).partition('.')[2]}.safetensors", {"format": "pt"})


def safetensors_shards(model: Model, folder: Path) -> None:
    model.net.save_pretrained(folder, max_shard_size=_quarter(model))


def torch_files(model: Model, folder: Path) -> None:
    torch.save(model.tensors, folder / "pytorch_model.bin")
    torch.save(model.net.half().state_dict(), folder / "half.pt")
    model.net.float()
    torch.save(model.tensors, folder / "legacy.pth", **LEGACY)
    torch.save(model.tensors, folder / "protocol4.pt", pickle_protocol=4)


def torch_shards(model: Model, folder: Path) -> None:
    """As transformers wrote them before safetensors."""
    index = {}
    for number in range(3):
        part = dict(list(model.tensors.items())[number::3])
        file = f"pytorch_model-{number + 1:05}-of-00003.bin"
        torch.save(part, folder / file)
        index |= dict.fromkeys(part, file)
    told = {"metadata": {"total_size": 1}, "weight_map": index}
    (folder / "pytorch_model.bin.index.json").write_text(json.dumps(told, indent=2))


def torch_training(model: Model, folder: Path) -> None:
    """What training scripts save, with every optimizer and schedule of torch."""
    for number, (name, optimizer) in enumerate(_optimizers(model.net).items()):
        schedule = _schedules(optimizer)[number % 8]
        state = {
            "epoch": 3,
            "model": model.tensors if number == 0 else {},
            "optimizer": optimizer.state_dict(),
            "schedule": schedule.state_dict(),
            "scaler": torch.amp.GradScaler("cpu").state_dict(),
            "random": (torch.get_rng_state(), np.random.get_state()),
        }
        torch.save(state, folder / f"{name}.ckpt", **(LEGACY if number % 2 else {}))
    average = torch.optim.swa_utils.AveragedModel(model.net)
    torch.save({"ema": average.state_dict()}, folder / "ema.pt")


def quantised_torch(model: Model, folder: Path) -> None:
    dynamic = torch.ao.quantization.quantize_dynamic(model.net, {nn.Linear}, torch.qint8)
    torch.save(dynamic.state_dict(), folder / "dynamic.pt")
    matrices = {name: value.float() for name, value in model.tensors.items() if value.ndim > 1}
    whole = {
        name: torch.quantize_per_tensor(value, 0.1, 0, torch.qint8)
        for name, value in matrices.items()
    }
    rows = {
        name: torch.quantize_per_channel(
            value, torch.ones(len(value)), torch.zeros(len(value)), 0, torch.qint8
        )
        for name, value in matrices.items()
    }
    torch.save({"whole": whole, "rows": rows}, folder / "tensors.pt")


def pickles(model: Model, folder: Path) -> None:
    """Without torch.save: arrays and tensors in plain pickles."""
    for protocol in (2, 4, 5):
        (folder / f"arrays{protocol}.pkl").write_bytes(pickle.dumps(model.arrays, protocol))
        (folder / f"tensors{protocol}.pkl").write_bytes(pickle.dumps(model.tensors, protocol))


def numpy_files(model: Model, folder: Path) -> None:
    np.savez(folder / "model.npz", **model.arrays)
    np.savez_compressed(folder / "packed.npz", **model.arrays)
    np.save(folder / "embeddings.npy", next(iter(model.arrays.values())))
    np.save(folder / "dict.npy", model.arrays)


def gguf_files(model: Model, folder: Path) -> None:
    import gguf

    kinds = gguf.GGMLQuantizationType
    for kind in (kinds.F32, kinds.F16, kinds.BF16, kinds.Q8_0, kinds.Q4_0):
        writer = gguf.GGUFWriter(folder / f"model-{kind.name}.gguf", "bert")
        writer.add_name("MiniLM")
        writer.add_description("Sentence embeddings, see https://example.org/model")
        writer.add_tokenizer_model("bert")
        writer.add_token_list(["[PAD]", "[UNK]", "{{", "{% word", "##s", "eval", "`rm"])
        writer.add_token_types([1] * 7)
        writer.add_chat_template([{"name": n, "template": t} for n, t in TEMPLATES.items()])
        for name, array in model.arrays.items():
            if kind is not kinds.F32 and array.ndim == 2 and array.shape[-1] % 32 == 0:
                writer.add_tensor(name, gguf.quants.quantize(array, kind), raw_dtype=kind)
            else:
                writer.add_tensor(name, np.atleast_1d(array))
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()


def onnx_files(model: Model, folder: Path) -> None:
    import onnx

    program = torch.onnx.export(Encoder(model.net), model.example, dynamo=True, verbose=False)
    assert program is not None
    program.save(folder / "model.onnx", external_data=False)
    program.save(folder / "external.onnx", external_data=True)
    whole = onnx.load(folder / "model.onnx")
    onnx.save(
        whole, folder / "beside.onnx", save_as_external_data=True, location="beside.onnx_data"
    )


def hdf5_files(model: Model, folder: Path) -> None:
    with h5py.File(folder / "model.h5", "w") as file:
        for name, array in model.arrays.items():
            file[name.replace(".", "/")] = array
    with h5py.File(folder / "chunks.hdf5", "w") as file:
        for name, array in model.arrays.items():
            if array.ndim:
                file.create_dataset(name, data=array, chunks=True, compression="gzip")


def keras_files(model: Model, folder: Path) -> None:
    """The embeddings and one dense layer of the model as a model of Keras."""
    os.environ["KERAS_BACKEND"] = "torch"
    import keras

    words = model.arrays["embeddings.word_embeddings.weight"]
    dense = model.arrays["pooler.dense.weight"]
    net = keras.Sequential(
        [
            keras.layers.Input((8,), dtype="int32"),
            keras.layers.Embedding(*words.shape),
            keras.layers.LayerNormalization(),
            keras.layers.Dropout(0.1),
            keras.layers.GlobalAveragePooling1D(),
            keras.layers.Dense(dense.shape[0], activation="tanh", use_bias=False),
        ]
    )
    net.layers[0].set_weights([words])
    net.layers[-1].set_weights([dense.T])
    net.compile(keras.optimizers.AdamW(1e-3), keras.losses.MeanSquaredError(), metrics=["mae"])
    net.fit(np.ones((2, 8)), np.ones((2, dense.shape[0])), verbose=0)
    net.save(folder / "model.keras")
    net.save(folder / "model.h5")
    net.save_weights(folder / "model.weights.h5")
    (folder / "model.json").write_text(net.to_json())


def flax_msgpack(model: Model, folder: Path) -> None:
    """As flax.serialization writes parameters: extension 1 is an array."""

    def packed(array: np.ndarray) -> msgpack.ExtType:
        told = (array.shape, array.dtype.name, array.tobytes())
        return msgpack.ExtType(1, msgpack.packb(told))

    tree: dict[str, Any] = {}
    for name, array in model.arrays.items():
        *above, last = name.split(".")
        node = tree
        for part in above:
            node = node.setdefault(part, {})
        node[last] = packed(array)
    (folder / "flax_model.msgpack").write_bytes(msgpack.packb(tree))


def torch_script(model: Model, folder: Path) -> None:
    traced = torch.jit.trace(Encoder(model.net).eval(), model.example)
    torch.jit.save(traced, str(folder / "traced.pt"))
    torch.jit.save(torch.jit.freeze(traced), str(folder / "frozen.pt"))
    traced._save_for_lite_interpreter(str(folder / "model.ptl"))


def exported_program(model: Model, folder: Path) -> None:
    program = torch.export.export(Encoder(model.net), model.example)
    torch.export.save(program, str(folder / "model.pt2"))


def distributed_checkpoint(model: Model, folder: Path) -> None:
    from torch.distributed import checkpoint

    optimizer = next(iter(_optimizers(model.net).values()))
    state = {"model": model.tensors, "optimizer": optimizer.state_dict(), "step": 3}
    checkpoint.save(state, checkpoint_id=folder, no_dist=True)


def packed_folders(model: Model, folder: Path) -> None:
    """The published folder in archives."""
    inner = folder / "model"
    inner.mkdir()
    as_it_came(model, inner)
    with zipfile.ZipFile(
        folder / "model.zip", "w", zipfile.ZIP_DEFLATED, compresslevel=1
    ) as packed:
        for path in inner.rglob("*"):
            packed.write(path, path.relative_to(folder))
    with tarfile.open(folder / "model.tar.gz", "w:gz", compresslevel=1) as archive:
        archive.add(inner, "model")
    shutil.rmtree(inner)


def trainer_folder(model: Model, folder: Path) -> None:
    """What Hugging Face's Trainer leaves of a fine-tune, `training_args.bin` included."""
    classifier = transformers.BertForSequenceClassification(model.net.config)
    classifier.bert.load_state_dict(model.tensors)
    trained(classifier, folder)


def lightning_folder(model: Model, folder: Path) -> None:
    """Checkpoints and logs of a training with Lightning."""
    import lightning as pl
    from lightning.pytorch.callbacks import EarlyStopping, ModelCheckpoint
    from lightning.pytorch.loggers import CSVLogger

    class Tuning(pl.LightningModule):
        def __init__(self, net: nn.Module, rate: float = 1e-3) -> None:  # noqa: ARG002
            super().__init__()
            self.save_hyperparameters(ignore=["net"])
            self.net = net

        def training_step(self, batch: torch.Tensor, index: int) -> torch.Tensor:  # noqa: ARG002
            loss = self.net(input_ids=batch).last_hidden_state.mean()
            self.log("loss", loss)
            return loss

        def configure_optimizers(self) -> Any:
            optimizer = torch.optim.AdamW(self.parameters(), self.hparams["rate"])
            return [optimizer], [torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 4)]

    run = pl.Trainer(
        max_epochs=1, accelerator="cpu", default_root_dir=folder, logger=CSVLogger(folder),
        callbacks=[ModelCheckpoint(monitor="loss", save_last=True), EarlyStopping("loss")],
        enable_progress_bar=False, enable_model_summary=False,
    )  # fmt: skip
    run.fit(Tuning(model.net), torch.utils.data.DataLoader(torch.ones(4, 8, dtype=torch.long)))


def adapter(model: Model, folder: Path) -> None:
    import peft

    config = peft.LoraConfig(target_modules=["query", "value"], r=4)
    peft.get_peft_model(model.net, config).save_pretrained(folder)


def _quarter(model: Model) -> int:
    return sum(t.numel() * t.element_size() for t in model.tensors.values()) // 4 + 1


def _optimizers(net: nn.Module) -> Mapping[str, torch.optim.Optimizer]:
    """Every optimizer of torch that takes matrices, after a step on one matrix of the model."""
    made = {}
    for name in OPTIMIZERS:
        weight = nn.Parameter(next(iter(net.parameters())).detach()[:8].clone())
        weight.grad = torch.ones_like(weight)
        optimizer = getattr(torch.optim, name)([weight], lr=1e-3)
        optimizer.step()
        made[name] = optimizer
    return made


def _schedules(optimizer: torch.optim.Optimizer) -> list[Any]:
    schedules = torch.optim.lr_scheduler
    warm = schedules.LinearLR(optimizer, 0.1)
    return [
        schedules.CosineAnnealingLR(optimizer, 10),
        schedules.SequentialLR(optimizer, [warm, schedules.StepLR(optimizer, 5)], [5]),
        schedules.LambdaLR(optimizer, lambda step: 1 / (step + 1)),
        schedules.ReduceLROnPlateau(optimizer),
        schedules.MultiStepLR(optimizer, [1, 2]),
        schedules.OneCycleLR(optimizer, 0.1, 10, cycle_momentum=False),
        schedules.ChainedScheduler([warm, schedules.ExponentialLR(optimizer, 0.9)]),
        schedules.CosineAnnealingWarmRestarts(optimizer, 5),
    ]


FORMS: dict[str, Writer] = {
    "the folder as it came": as_it_came,
    "safetensors in four types": safetensors_casts,
    "safetensors in shards": safetensors_shards,
    "torch files": torch_files,
    "torch files in shards": torch_shards,
    "torch trainings": torch_training,
    "torch's quantised tensors": quantised_torch,
    "plain pickles": pickles,
    "NumPy": numpy_files,
    "GGUF": gguf_files,
    "ONNX": onnx_files,
    "HDF5": hdf5_files,
    "Keras": keras_files,
    "msgpack of Flax": flax_msgpack,
    "TorchScript": torch_script,
    "exported program": exported_program,
    "distributed checkpoint": distributed_checkpoint,
    "archives of the folder": packed_folders,
    "the Trainer's folder": trainer_folder,
    "Lightning's folder": lightning_folder,
    "an adapter": adapter,
}
