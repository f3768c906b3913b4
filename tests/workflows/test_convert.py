"""convert: safetensors.torch.load_file gives what torch.load gives, or nothing is written."""

import json
import os
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch
from safetensors import safe_open
from torch import nn

from cairn.domain import Checkpoint, DType, Layout, Role, Span, Storage, TensorInfo
from cairn.errors import (
    ConflictError,
    IntegrityError,
    MalformedError,
    RequestError,
    UnavailableError,
)
from cairn.formats import BytesSource, File, FileSource
from cairn.formats.reframed_source import ReframedSource
from cairn.workflows import convert, written
from cairn.workflows.convert import Choice, companions, plan, usual_name, write
from cairn.workflows.inspect import read_path
from cairn.workflows.readable import ReadableCheckpoint
from tests.formats.making import TORCH_DTYPES, tensor_of

EVERY_DTYPE = {
    label: tensor_of(dtype, (3, 4), 1)
    for label, dtype in TORCH_DTYPES.items()
    if label not in ("C32", "C128")
}


def converted(path: Path, target: Path, **choice: object) -> dict[str, torch.Tensor]:
    """Convert with every value compared, and load with the library."""
    found = read_path(path)
    conversion = plan(found, target.name, Choice(**choice), "source")  # type: ignore[arg-type]
    write(conversion, found.files, target.parent, compare=True)
    return {
        name: tensor
        for file in conversion.files
        for name, tensor in safetensors.torch.load_file(target.parent / file).items()
    }


def assert_equal(found: dict[str, torch.Tensor], expected: dict[str, torch.Tensor]) -> None:
    assert found.keys() == expected.keys()
    for name, tensor in expected.items():
        assert found[name].dtype is tensor.dtype, name
        assert found[name].shape == tensor.shape, name
        raw = tensor.contiguous().clone().reshape(-1).view(torch.uint8)
        assert torch.equal(found[name].reshape(-1).view(torch.uint8), raw), name


def tied() -> dict[str, torch.Tensor]:
    shared = torch.arange(24.0).reshape(4, 6)
    return {
        **EVERY_DTYPE,
        "embed": shared,
        "head": shared,
        "turned": shared.t(),
        "part": shared[1:3, ::2],
        "spread": shared[:1].expand(3, 6),
        "scalar": torch.tensor(2.5),
        "none": torch.empty(0, 3),
    }


def test_every_dtype_and_view_of_a_torch_file_comes_out_as_torch_loads_it(tmp_path: Path) -> None:
    torch.save(tied(), tmp_path / "w.pt")
    loaded = torch.load(tmp_path / "w.pt")
    assert_equal(converted(tmp_path / "w.pt", tmp_path / "out.safetensors"), loaded)


def test_what_training_saved_comes_out_as_its_state_dict(tmp_path: Path) -> None:
    model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))
    optimizer = torch.optim.AdamW(model.parameters())
    model(torch.ones(5, 3)).sum().backward()
    optimizer.step()
    state = {"model": model.state_dict(), "optimizer": optimizer.state_dict(), "epoch": 2}
    torch.save(state, tmp_path / "training.pt")
    found = converted(tmp_path / "training.pt", tmp_path / "out.safetensors")
    assert_equal(found, dict(model.state_dict()))
    nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4)).load_state_dict(found)


def test_the_optimizer_is_written_when_asked_for(tmp_path: Path) -> None:
    model = nn.Linear(3, 4)
    optimizer = torch.optim.AdamW(model.parameters())
    model(torch.ones(5, 3)).sum().backward()
    optimizer.step()
    torch.save({"model": model.state_dict(), "optimizer": optimizer.state_dict()}, tmp_path / "t")
    found = converted(tmp_path / "t", tmp_path / "o.safetensors", roles=(Role.OPTIMIZER,))
    state = optimizer.state_dict()["state"]
    assert_equal(found, {f"{n}.{k}": t for n, kept in state.items() for k, t in kept.items()})


def test_a_lightning_checkpoint_comes_out_under_the_names_of_its_module(tmp_path: Path) -> None:
    lightning = pytest.importorskip("lightning")

    class Model(lightning.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.model = nn.Linear(2, 1)

        def training_step(self, batch: torch.Tensor) -> torch.Tensor:
            return self.model(batch[0]).sum()

        def configure_optimizers(self) -> torch.optim.Optimizer:
            return torch.optim.Adam(self.parameters())

    model = Model()
    trainer = lightning.Trainer(
        max_steps=1, logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False, accelerator="cpu",
    )  # fmt: skip
    data = torch.utils.data.TensorDataset(torch.ones(4, 2))
    trainer.fit(model, torch.utils.data.DataLoader(data))
    trainer.save_checkpoint(tmp_path / "last.ckpt")
    found = converted(tmp_path / "last.ckpt", tmp_path / "out.safetensors")
    assert_equal(found, dict(model.state_dict()))
    Model().load_state_dict(found)


def tiny_bert(seed: int = 0) -> nn.Module:
    from transformers import BertConfig, BertForMaskedLM

    torch.manual_seed(seed)
    config = BertConfig(
        hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32,
        vocab_size=50, max_position_embeddings=20,
    )  # fmt: skip
    return BertForMaskedLM(config)


def sharded_bin(model: nn.Module, folder: Path) -> None:
    """As transformers 4 wrote them: transformers 5 writes safetensors only."""
    from huggingface_hub import split_torch_state_dict_into_shards

    state = model.state_dict()
    split = split_torch_state_dict_into_shards(
        state, filename_pattern="pytorch_model{suffix}.bin", max_shard_size="8KB"
    )
    assert split.is_sharded
    for name, keys in split.filename_to_tensors.items():
        torch.save({key: state[key] for key in keys}, folder / name)
    index = {"metadata": split.metadata, "weight_map": split.tensor_to_filename}
    (folder / "pytorch_model.bin.index.json").write_text(json.dumps(index))


def test_transformers_loads_the_folder_made_of_a_sharded_bin(tmp_path: Path) -> None:
    from transformers import BertForMaskedLM

    model, source, out = tiny_bert(), tmp_path / "in", tmp_path / "out"
    source.mkdir()
    out.mkdir()
    model.config.save_pretrained(source)
    sharded_bin(model, source)
    found = read_path(source)
    conversion = plan(found, usual_name(found), Choice(shard_bytes=8000), "bert")
    write(conversion, found.files, out, beside=companions(found), compare=True)
    assert len(conversion.files) > 2
    assert {path.name for path in out.iterdir()} == {
        *conversion.files, "model.safetensors.index.json", "config.json"
    }  # fmt: skip
    loaded = BertForMaskedLM.from_pretrained(out, use_safetensors=True)
    assert_equal(dict(loaded.state_dict()), dict(model.state_dict()))


def test_shards_are_cut_and_indexed_as_huggingface_hub_does(tmp_path: Path) -> None:
    from huggingface_hub import split_torch_state_dict_into_shards

    state = {f"layer.{n}": torch.full((n % 7 + 1, 10), float(n)) for n in range(40)}
    torch.save(state, tmp_path / "w.pt")
    found = read_path(tmp_path / "w.pt")
    conversion = plan(found, "model.safetensors", Choice(shard_bytes=1500), "w")
    theirs = split_torch_state_dict_into_shards(
        state, filename_pattern="model{suffix}.safetensors", max_shard_size=1500
    )
    assert conversion.index is not None
    index = json.loads(conversion.index)
    assert index["weight_map"] == theirs.tensor_to_filename
    assert index["metadata"]["total_size"] == theirs.metadata["total_size"]
    assert_equal(
        converted(tmp_path / "w.pt", tmp_path / "model.safetensors", shard_bytes=1500), state
    )


def test_the_real_minilm_makes_the_trip_through_a_pickle_bit_for_bit(tmp_path: Path) -> None:
    from tests.compat import minilm

    original = minilm.FOLDER / "model.safetensors"
    state = safetensors.torch.load_file(original)
    torch.save(state, tmp_path / "pytorch_model.bin")
    assert_equal(converted(tmp_path / "pytorch_model.bin", tmp_path / "o.safetensors"), state)
    with safe_open(original, "pt") as a, safe_open(tmp_path / "o.safetensors", "pt") as b:
        assert a.keys() == b.keys()


def test_safetensors_comes_out_equal_to_itself(tmp_path: Path) -> None:
    safetensors.torch.save_file(EVERY_DTYPE, tmp_path / "a.safetensors")
    assert_equal(converted(tmp_path / "a.safetensors", tmp_path / "b.safetensors"), EVERY_DTYPE)


def test_metadata_says_pt_for_transformers_and_where_the_tensors_come_from(tmp_path: Path) -> None:
    torch.save(tied(), tmp_path / "w.pt")
    converted(tmp_path / "w.pt", tmp_path / "o.safetensors", drop_repeats=True)
    with safe_open(tmp_path / "o.safetensors", "pt") as file:
        assert file.metadata() == {
            "format": "pt", "cairn.source": "source", "cairn.source_format": "torch-zip",
            "head": "embed",
        }  # fmt: skip
        assert "head" not in file.keys()  # noqa: SIM118 - it is no dict


def test_a_model_with_tied_weights_loads_what_was_dropped_as_save_model_does(
    tmp_path: Path,
) -> None:
    class Tied(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embed = nn.Embedding(5, 3)
            self.head = nn.Linear(3, 5, bias=False)
            self.head.weight = self.embed.weight

    model, other = Tied(), Tied()
    torch.save(model.state_dict(), tmp_path / "w.pt")
    converted(tmp_path / "w.pt", tmp_path / "o.safetensors", drop_repeats=True)
    safetensors.torch.load_model(other, tmp_path / "o.safetensors")
    assert torch.equal(other.head.weight, model.embed.weight)


def test_what_safetensors_cannot_hold_is_named_and_can_be_left_out(tmp_path: Path) -> None:
    torch.save({"w": torch.ones(2), "c": torch.ones(2, dtype=torch.complex128)}, tmp_path / "w.pt")
    with pytest.raises(RequestError, match=r"'c' of w\.pt has the dtype C128"):
        converted(tmp_path / "w.pt", tmp_path / "o.safetensors")
    assert not (tmp_path / "o.safetensors").exists()
    found = converted(tmp_path / "w.pt", tmp_path / "o.safetensors", exclude=("c",))
    assert_equal(found, {"w": torch.ones(2)})


def gguf_file(path: Path) -> dict[str, np.ndarray]:
    """A GGUF file with quantised tensors; what `gguf` itself makes of them."""
    gguf = pytest.importorskip("gguf")
    values = np.random.default_rng(1).standard_normal((3, 512), np.float32)
    expected = {}
    writer = gguf.GGUFWriter(path, "llama")
    for kind in ("Q8_0", "Q4_0"):
        qtype = gguf.GGMLQuantizationType[kind]
        packed = gguf.quants.quantize(values, qtype)
        writer.add_tensor(f"{kind}.weight", packed, raw_dtype=qtype)
        expected[f"{kind}.weight"] = gguf.quants.dequantize(packed, qtype)
    writer.add_tensor("norm.weight", values[0])
    expected["norm.weight"] = values[0]
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return expected


@pytest.mark.parametrize("kind", [DType.F32, DType.F16])
def test_quantised_tensors_are_written_as_numbers_when_asked_for(tmp_path: Path, kind) -> None:
    expected = gguf_file(tmp_path / "m.gguf")
    with pytest.raises(RequestError, match="--dequantise F16 writes it as numbers"):
        converted(tmp_path / "m.gguf", tmp_path / "o.safetensors")
    found = converted(tmp_path / "m.gguf", tmp_path / "o.safetensors", dequantise=kind)
    width = np.dtype("f4" if kind is DType.F32 else "f2")
    assert found.keys() == expected.keys()
    for name, values in expected.items():
        wanted = values if name.startswith("norm") else values.astype(width)
        assert np.array_equal(found[name].numpy(), wanted), name


def test_a_range_of_dequantised_values_is_right_wherever_it_begins(tmp_path: Path) -> None:
    gguf_file(tmp_path / "m.gguf")
    found = read_path(tmp_path / "m.gguf")
    made = plan(found, "o", Choice(dequantise=DType.F16), "x").files["o"]
    with ReframedSource(made, found.files, "o") as source:
        whole = source.read_at(0, source.size_bytes)
        for start in range(len(made.header), len(whole), 97):
            assert source.read_at(start, 200) == whole[start : start + 200]


def test_a_quantised_type_nobody_decodes_is_named(tmp_path: Path) -> None:
    info = TensorInfo("w", DType.IQ1_S, (256,), Span(0, 50))
    layout = Layout("gguf", 50, (info,), (Storage(Span(0, 50), DType.IQ1_S),))
    found = ReadableCheckpoint(Checkpoint("x", {"x.gguf": layout}), {})
    with pytest.raises(RequestError, match="type IQ1_S are not decoded; --exclude 'w'"):
        plan(found, "o", Choice(dequantise=DType.F32), "x")


def test_arrays_of_npz_files_come_out_as_numpy_loads_them(tmp_path: Path) -> None:
    arrays = {
        "plain": np.arange(12.0).reshape(3, 4),
        "turned": np.asfortranarray(np.arange(12, dtype=np.int16).reshape(3, 4)),
        "big": np.arange(6, dtype=">f4").reshape(2, 3),
    }
    for save in (np.savez, np.savez_compressed):
        save(tmp_path / "a.npz", **arrays)
        found = converted(tmp_path / "a.npz", tmp_path / f"{save.__name__}.safetensors")
        assert found.keys() == arrays.keys()
        assert all(np.array_equal(found[name].numpy(), arrays[name]) for name in arrays)


def test_initialisers_of_an_onnx_model_come_out_as_onnx_reads_them(tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx")
    from onnx import helper, numpy_helper

    rng = np.random.default_rng(2)
    arrays = {"w": rng.standard_normal((40, 30), np.float32), "b": np.arange(5)}
    value = helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [40, 30])
    weights = [numpy_helper.from_array(array, name) for name, array in arrays.items()]
    graph = helper.make_graph([], "g", [value], [value], weights)
    model = helper.make_model(graph)
    onnx.save(model, tmp_path / "in.onnx")
    onnx.save(
        model, tmp_path / "out.onnx", save_as_external_data=True, location="out.data",
        size_threshold=100,
    )  # fmt: skip
    for name in ("in", "out"):
        found = converted(tmp_path / f"{name}.onnx", tmp_path / f"{name}.safetensors")
        assert found.keys() == arrays.keys()
        assert all(np.array_equal(found[key].numpy(), arrays[key]) for key in arrays)


def test_the_format_before_torch_1_6_comes_out_as_torch_loads_it(tmp_path: Path) -> None:
    value = {k: t for k, t in tied().items() if t.dtype in (torch.float32, torch.int64)}
    torch.save(value, tmp_path / "old.pt", _use_new_zipfile_serialization=False)
    loaded = torch.load(tmp_path / "old.pt")
    assert_equal(converted(tmp_path / "old.pt", tmp_path / "o.safetensors"), loaded)


def test_a_distributed_checkpoint_comes_out_under_the_names_of_its_state_dict(
    tmp_path: Path,
) -> None:
    import torch.distributed.checkpoint as dcp

    state = {"model": {"a.weight": torch.arange(12.0).reshape(3, 4), "b": torch.ones(2)}}
    dcp.save(state, checkpoint_id=tmp_path / "dcp")
    found = converted(tmp_path / "dcp", tmp_path / "o.safetensors")
    assert_equal(found, state["model"])


# --- which model ---------------------------------------------------------------------------


def test_of_one_folder_in_several_formats_safetensors_is_taken(tmp_path: Path) -> None:
    torch.save({"w": torch.zeros(2)}, tmp_path / "pytorch_model.bin")
    safetensors.torch.save_file({"w": torch.ones(2)}, tmp_path / "model.safetensors")
    conversion = plan(read_path(tmp_path), "o.safetensors", Choice(), "x")
    assert [named.path for named in conversion.state.tensors] == ["model.safetensors"]
    assert conversion.others == ("pytorch_model.bin",)


def test_models_in_folders_below_the_first_are_not_part_of_it(tmp_path: Path) -> None:
    (tmp_path / "2_Dense").mkdir()
    torch.save({"w": torch.ones(2)}, tmp_path / "pytorch_model.bin")
    torch.save({"v": torch.ones(2)}, tmp_path / "2_Dense/pytorch_model.bin")
    conversion = plan(read_path(tmp_path), "o.safetensors", Choice(), "x")
    assert conversion.others == ("2_Dense/pytorch_model.bin",)


def test_a_pipeline_of_several_models_is_not_one_file(tmp_path: Path) -> None:
    for part in ("unet", "vae"):
        (tmp_path / part).mkdir()
        torch.save({"w": torch.ones(2)}, tmp_path / part / "diffusion_pytorch_model.bin")
    with pytest.raises(RequestError, match="several models, in unet/, vae/"):
        plan(read_path(tmp_path), "o.safetensors", Choice(), "x")


@pytest.mark.parametrize(
    ("config", "content", "name"),
    [
        ("config.json", {"model_type": "bert"}, "model.safetensors"),
        ("adapter_config.json", {"peft_type": "LORA"}, "adapter_model.safetensors"),
        ("config.json", {"_class_name": "UNet"}, "diffusion_pytorch_model.safetensors"),
    ],
)
def test_a_folder_gets_the_name_its_loader_looks_for(
    tmp_path: Path, config: str, content: object, name: str
) -> None:
    torch.save({"w": torch.ones(2)}, tmp_path / "weights.bin")
    (tmp_path / config).write_text(json.dumps(content))
    assert usual_name(read_path(tmp_path)) == name
    assert list(companions(read_path(tmp_path))) == [config]


# --- whole or not at all -------------------------------------------------------------------


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "w.pt"
    torch.save({"a": torch.ones(1000), "b": torch.ones(50, 20).t()}, path)
    return path


def leftovers(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()} - {"w.pt"}


def test_a_file_that_is_there_is_only_overwritten_by_force(source: Path) -> None:
    target = source.parent / "o.safetensors"
    target.write_text("mine")
    with pytest.raises(ConflictError, match="--force"):
        converted(source, target)
    assert target.read_text() == "mine"
    found = read_path(source)
    write(plan(found, target.name, Choice(), "x"), found.files, target.parent, force=True)
    assert safetensors.torch.load_file(target).keys() == {"a", "b"}
    assert leftovers(source.parent) == {"o.safetensors"}


def test_a_file_may_be_converted_onto_itself(source: Path) -> None:
    found = read_path(source)
    write(plan(found, "w.pt", Choice(), "x"), found.files, source.parent, force=True, compare=True)
    assert safetensors.torch.load_file(source).keys() == {"a", "b"}


def test_a_source_that_ends_early_leaves_nothing_and_what_was_there(source: Path) -> None:
    target = source.parent / "o.safetensors"
    target.write_text("mine")
    found = read_path(source)
    conversion = plan(found, target.name, Choice(), "x")
    os.truncate(source, 3000)
    with pytest.raises(MalformedError):
        write(conversion, found.files, target.parent, force=True)
    assert target.read_text() == "mine"
    assert leftovers(source.parent) == {"o.safetensors"}


def test_of_several_shards_none_appears_if_one_cannot_be_written(source: Path) -> None:
    found = read_path(source)
    conversion = plan(found, "o.safetensors", Choice(shard_bytes=4000), "x")
    assert len(conversion.files) == 2
    os.truncate(source, source.stat().st_size - 3000)
    with pytest.raises(MalformedError):
        write(conversion, found.files, source.parent)
    assert leftovers(source.parent) == set()


def test_a_disk_without_room_is_refused_before_anything_is_written(source, monkeypatch) -> None:
    monkeypatch.setattr(written.shutil, "disk_usage", lambda _: type("Usage", (), {"free": 100}))
    with pytest.raises(UnavailableError, match="has room for 100 bytes"):
        converted(source, source.parent / "o.safetensors")
    assert leftovers(source.parent) == set()


@pytest.mark.parametrize("name", ["a", "b"])
def test_a_value_that_did_not_come_out_right_is_found(source: Path, monkeypatch, name) -> None:
    found = read_path(source)
    tensor = next(t for _, t in found.checkpoint.tensors() if t.name == name)
    damaged = bytearray(source.read_bytes())
    damaged[tensor.span.start + 100] ^= 1
    source.with_name("damaged").write_bytes(damaged)
    files = {"w.pt": File(len(damaged), partial(FileSource, source.with_name("damaged")))}
    conversion = plan(found, "o.safetensors", Choice(), "x")
    real = convert.write_reframed
    monkeypatch.setattr(
        convert, "write_reframed", lambda what, _, draft, done: real(what, files, draft, done)
    )
    with pytest.raises(IntegrityError, match=rf"tensor '{name}' of o\.safetensors"):
        write(conversion, found.files, source.parent, compare=True)
    assert leftovers(source.parent) == {"damaged"}


def test_progress_counts_every_byte_of_the_body(source: Path) -> None:
    found, seen = read_path(source), []
    conversion = plan(found, "o.safetensors", Choice(), "x")
    write(conversion, found.files, source.parent, compare=True, progress=seen.append)
    assert sum(seen) == 2 * 8000


def test_sources_that_are_no_files_of_this_machine_are_read_in_blocks(source: Path) -> None:
    found = read_path(source)
    data = source.read_bytes()

    class Remote:
        def __enter__(self):
            return BytesSource(data, "w.pt")

        def __exit__(self, *_):
            return None

    conversion = plan(found, "o.safetensors", Choice(), "x")
    write(conversion, {"w.pt": File(len(data), partial(Remote))}, source.parent, compare=True)
    assert_equal(safetensors.torch.load_file(source.parent / "o.safetensors"), torch.load(source))
