"""Distributed checkpoints: global tensors from the chunks of all ranks, as torch loads them."""

import io
import os
import pickle
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed.checkpoint as dcp
import torch.multiprocessing
from torch import nn
from torch.distributed.checkpoint.filesystem import _StorageInfo
from torch.distributed.checkpoint.metadata import (
    BytesStorageMetadata,
    ChunkStorageMetadata,
    Metadata,
    MetadataIndex,
    TensorProperties,
    TensorStorageMetadata,
)
from torch.distributed.checkpoint.state_dict import StateDictOptions, get_state_dict

from cairn.domain import Assembly, DType, Role
from cairn.errors import LimitError, MalformedError, UntrustedDataError
from cairn.formats import READERS, BytesSource, read_layout
from cairn.formats.assemblers.dcp import DcpAssembler
from cairn.formats.boxes import check_tiling
from cairn.formats.dcp_metadata import read_dcp_metadata
from cairn.formats.limits import HEAD_BYTES
from cairn.formats.readers.dcp_metadata import DcpMetadataReader
from cairn.formats.readers.distcp import DistcpReader
from cairn.testing.assemblers import AssemblerConformance, only_assembly, values_of
from cairn.testing.readers import CountingSource, ReaderConformance, outcome
from cairn.workflows.inspect import inspect_files, inspect_path, read_path
from tests.formats.making import TORCH_DTYPES, bytes_of, saved, tensor_of

Contents = dict[str, bytes]


def contents_of(folder: Path) -> Contents:
    return {
        p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()
    }


def saved_alone(folder: Path, state: dict[str, Any]) -> Contents:
    """What one process without a process group writes."""
    dcp.save(state, checkpoint_id=folder, no_dist=True)
    return contents_of(folder)


def training_state(seed: int = 0) -> dict[str, Any]:
    torch.manual_seed(seed)
    model = nn.Linear(3, 2)
    optimizer = torch.optim.AdamW(model.parameters())
    model(torch.ones(1, 3)).sum().backward()
    optimizer.step()
    weights, moments = get_state_dict(model, optimizer)
    return {"model": weights, "optim": moments, "step": 7, "note": {"by": "ann"}}


class Chunk:
    """One chunk for `written`: where it begins, its values, the file it goes to."""

    def __init__(self, start: tuple[int, ...], values: torch.Tensor, file: str = "__0_0.distcp"):
        self.start, self.values, self.file = start, values, file


def written(
    tensors: Mapping[str, tuple[tuple[int, ...], list[Chunk]]],
    objects: Mapping[str, Any] | None = None,
    *,
    listed: Mapping[str, list[tuple[tuple[int, ...], tuple[int, ...]]]] | None = None,
) -> Contents:
    """A checkpoint as several ranks write it, in the structures torch itself pickles."""
    files: dict[str, io.BytesIO] = {}
    metadata: dict[str, Any] = {}
    places: dict[MetadataIndex, _StorageInfo] = {}

    def put(file: str, value: Any) -> _StorageInfo:
        stream = files.setdefault(file, io.BytesIO())
        data = saved(value)
        start = stream.tell()
        stream.write(data)
        return _StorageInfo(file, start, len(data))

    for name, (shape, chunks) in tensors.items():
        boxes = [(c.start, tuple(c.values.shape)) for c in chunks]
        boxes = (listed or {}).get(name, boxes)
        metadata[name] = TensorStorageMetadata(
            TensorProperties(dtype=chunks[0].values.dtype),
            torch.Size(shape),
            [ChunkStorageMetadata(torch.Size(s), torch.Size(n)) for s, n in boxes],
        )
        for at, chunk in enumerate(chunks):
            places[MetadataIndex(name, chunk.start, at)] = put(chunk.file, chunk.values)
    for name, value in (objects or {}).items():
        metadata[name] = BytesStorageMetadata()
        places[MetadataIndex(name)] = put("__0_0.distcp", value)
    whole = Metadata(metadata, storage_data=places)
    return {".metadata": pickle.dumps(whole), **{f: s.getvalue() for f, s in files.items()}}


def grid(file_of: Any = lambda at: f"__{at}_0.distcp") -> tuple[Contents, torch.Tensor]:
    """A 5 x 4 tensor in uneven chunks over four files."""
    whole = torch.arange(20.0).reshape(5, 4)
    cuts = [(slice(0, 3), slice(0, 3)), (slice(0, 3), slice(3, 4))]
    cuts += [(slice(3, 5), slice(0, 3)), (slice(3, 5), slice(3, 4))]
    chunks = [
        Chunk((r.start, c.start), whole[r, c].clone(), file_of(at))
        for at, (r, c) in enumerate(cuts)
    ]
    return written({"w": ((5, 4), chunks)}), whole


def assembly_of(contents: Contents) -> Assembly:
    return only_assembly(DcpAssembler(), contents)


class TestDcpMetadata(ReaderConformance):
    reader = DcpMetadataReader()

    @classmethod
    def make(cls) -> dict[str, bytes]:
        return {"grid": grid()[0][".metadata"], "nothing": pickle.dumps(Metadata({}))}


class TestDistcp(ReaderConformance):
    reader = DistcpReader()

    @classmethod
    def make(cls) -> dict[str, bytes]:
        # Two archives: cut between them, either is a plain torch zip, which is another format.
        return {
            "two tensors": saved(torch.ones(3, 4)) + saved(torch.zeros(5, dtype=torch.bfloat16)),
            "an object": saved([1, {"lr": 0.5}]) + saved(torch.ones(4)),
        }

    def test_appended_bytes_are_refused(self, samples: Mapping[str, bytes]) -> None:
        """Except another archive, which is how these files are made."""
        for data in samples.values():
            for tail in (b"\0", b"x" * 7, data[:-1], b"\0" * 100_000):
                assert isinstance(outcome(data + tail, self.reader), UntrustedDataError)
            assert not isinstance(outcome(data + data, self.reader), UntrustedDataError)

    def test_reads_are_few(self, samples: Mapping[str, bytes]) -> None:
        """A directory, its end, a pickle and eight local headers for every archive."""
        for data in samples.values():
            source = CountingSource(BytesSource(data))
            self.reader.read(source)
            assert len(source.reads) <= 2 * 18


class TestDcp(AssemblerConformance):
    assembler = DcpAssembler()

    @classmethod
    def make(cls) -> dict[str, Contents]:
        one = {"a": ((2,), [Chunk((0,), torch.tensor([1.0, 2.0]))])}
        return {"grid": grid()[0], "one tensor and a value": written(one, {"step": 3})}


def test_a_training_state_comes_back_with_names_roles_and_values(tmp_path: Path) -> None:
    state = training_state()
    contents = saved_alone(tmp_path, state)
    found = assembly_of(contents)
    values = values_of(found, contents)
    flat = dict(flattened("", state))
    assert values == {
        k: bytes_of(v.detach()) for k, v in flat.items() if isinstance(v, torch.Tensor)
    }
    roles = {t.name: t.role for t in found.tensors}
    assert roles["model.weight"] is Role.WEIGHTS
    assert roles["optim.state.weight.exp_avg"] is Role.OPTIMIZER
    assert roles["optim.state.bias.step"] is Role.OPTIMIZER
    assert {t.key for t in found.tensors if t.role is Role.WEIGHTS} == {"weight", "bias"}
    assert found.metadata["step"] == 7
    assert found.metadata["note.by"] == "ann"
    assert found.metadata["optim.param_groups.0.lr"] == 0.001


def flattened(prefix: str, value: Any) -> Any:
    if isinstance(value, dict):
        for key, below in value.items():
            yield from flattened(f"{prefix}.{key}" if prefix else key, below)
    else:
        yield prefix, value


def test_inspect_lists_global_tensors_and_how_far_training_had_come(tmp_path: Path) -> None:
    saved_alone(tmp_path, training_state())
    found = inspect_path(tmp_path)
    assert found.formats == ("dcp", "dcp-metadata", "distcp")
    assert found.parameters_by_dtype() == {DType.F32: 8}
    assert found.training["step"] == 7
    assert not found.unread


def test_values_are_read_through_a_checkpoint(tmp_path: Path) -> None:
    contents, whole = grid()
    for name, data in contents.items():
        (tmp_path / name).write_bytes(data)
    readable = read_path(tmp_path)
    ((path, tensor),) = readable.checkpoint.tensors()
    assert b"".join(readable.blocks(path, tensor)) == bytes_of(whole)


@pytest.mark.parametrize("label", [label for label in TORCH_DTYPES if label != "C32"])
def test_every_dtype_has_torchs_values(label: str, tmp_path: Path) -> None:
    value = tensor_of(TORCH_DTYPES[label], (3, 5))
    contents = saved_alone(tmp_path, {"w": value, "one": value[0, 0].clone(), "none": value[:0]})
    found = assembly_of(contents)
    assert {t.dtype.label for t in found.tensors} == {label}
    values = values_of(found, contents)
    assert values == {"w": bytes_of(value), "one": bytes_of(value[0, 0]), "none": b""}


@pytest.mark.parametrize("layout", ["transposed", "channels last", "every second"])
def test_strided_tensors_have_torchs_values(layout: str, tmp_path: Path) -> None:
    value = torch.arange(48.0).reshape(2, 3, 4, 2)
    match layout:
        case "transposed":
            value = value.reshape(6, 8).t()
        case "channels last":
            value = value.contiguous(memory_format=torch.channels_last)
        case _:
            value = value.reshape(-1)[::2]
    contents = saved_alone(tmp_path, {"w": value})
    assert values_of(assembly_of(contents), contents) == {"w": bytes_of(value)}


def test_chunks_over_several_files_make_one_tensor() -> None:
    contents, whole = grid()
    found = assembly_of(contents)
    assert len(found.tensors[0].pieces) == 4
    assert values_of(found, contents) == {"w": bytes_of(whole)}
    assert found.parts == contents.keys()


def test_equal_boxes_are_replicas() -> None:
    value = torch.arange(4.0)
    chunks = [Chunk((0,), value), Chunk((0,), value, "__1_0.distcp")]
    contents = written({"w": ((4,), chunks)})
    found = assembly_of(contents)
    assert len(found.tensors[0].pieces) == 1
    assert values_of(found, contents) == {"w": bytes_of(value)}


def test_a_missing_file_is_named() -> None:
    contents, _ = grid()
    del contents["__2_0.distcp"]
    with pytest.raises(MalformedError, match=r"'__2_0\.distcp' is missing"):
        assembly_of(contents)


def test_a_file_cut_short_is_named() -> None:
    contents, _ = grid()
    contents["__1_0.distcp"] = contents["__1_0.distcp"][:-1]
    with pytest.raises(MalformedError, match=r"'__1_0\.distcp' could not be read"):
        assembly_of(contents)


def test_missing_metadata_beside_chunks_is_said(tmp_path: Path) -> None:
    contents, _ = grid()
    (tmp_path / "__0_0.distcp").write_bytes(contents["__0_0.distcp"])
    assert "written last" in inspect_path(tmp_path).unread[".metadata"]


def test_a_gap_is_refused() -> None:
    contents = written({"w": ((4,), [Chunk((0,), torch.ones(2)), Chunk((2,), torch.ones(1))])})
    with pytest.raises(MalformedError, match="tensor 'w': the chunks hold 3 of 4 elements"):
        assembly_of(contents)


def test_an_overlap_is_refused() -> None:
    contents = written({"w": ((4,), [Chunk((0,), torch.ones(3)), Chunk((2,), torch.ones(2))])})
    with pytest.raises(MalformedError, match="tensor 'w': two chunks overlap"):
        assembly_of(contents)


def test_a_chunk_outside_its_tensor_is_refused() -> None:
    contents = written({"w": ((4,), [Chunk((0,), torch.ones(5))])})
    with pytest.raises(MalformedError, match=r"reaches outside"):
        assembly_of(contents)


def test_a_chunk_of_another_shape_than_said_is_refused() -> None:
    chunks = [Chunk((0, 0), torch.ones(2, 3))]
    contents = written({"w": ((3, 2), chunks)}, listed={"w": [((0, 0), (3, 2))]})
    with pytest.raises(MalformedError, match=r"is F32 \(2, 3\) in '__0_0.distcp'"):
        assembly_of(contents)


def test_a_chunk_of_another_dtype_than_said_is_refused() -> None:
    chunks = [Chunk((0,), torch.ones(2)), Chunk((2,), torch.ones(2, dtype=torch.float64))]
    with pytest.raises(MalformedError, match="is F64"):
        assembly_of(written({"w": ((4,), chunks)}))


def test_a_chunk_that_no_file_holds_is_refused() -> None:
    chunks = [Chunk((0,), torch.ones(2))]
    contents = written({"w": ((4,), chunks)}, listed={"w": [((0,), (2,)), ((2,), (2,))]})
    with pytest.raises(MalformedError, match=r"the chunk of tensor 'w' at \(2,\) lies in no file"):
        assembly_of(contents)


@pytest.mark.parametrize("path", ["../other.distcp", "/etc/passwd", "a\\..\\b", "C:x", ""])
def test_files_outside_the_checkpoint_are_refused(path: str) -> None:
    contents = written({"w": ((2,), [Chunk((0,), torch.ones(2), path)])})
    contents = {name: data for name, data in contents.items() if name == ".metadata"}
    with pytest.raises(MalformedError, match="may lie outside"):
        assembly_of(contents)


def test_a_place_in_the_middle_of_an_archive_is_refused() -> None:
    contents = written({"w": ((2,), [Chunk((0,), torch.ones(2))])})
    metadata = pickle.loads(contents[".metadata"])
    for info in metadata.storage_data.values():
        info.offset = 64
    contents[".metadata"] = pickle.dumps(metadata)
    with pytest.raises(MalformedError, match="is not at byte 64"):
        assembly_of(contents)


def test_compressed_streams_are_refused_with_advice() -> None:
    contents = written({"w": ((2,), [Chunk((0,), torch.ones(2))])})
    metadata = pickle.loads(contents[".metadata"])
    for info in metadata.storage_data.values():
        info.transform_descriptors = ["zstd"]
    with pytest.raises(MalformedError, match="without stream extensions"):
        read_dcp_metadata(BytesSource(pickle.dumps(metadata)))


def test_the_metadata_is_read_once_to_list_it_and_to_put_the_files_together() -> None:
    contents, _ = grid()
    sources = {path: CountingSource(BytesSource(data, path)) for path, data in contents.items()}
    assert [a.format for a in inspect_files(sources).assemblies] == ["dcp"]
    size = len(contents[".metadata"])
    assert sources[".metadata"].bytes_read <= min(size, HEAD_BYTES) + size


def test_files_the_metadata_does_not_name_are_noted() -> None:
    contents, _ = grid()
    contents["__9_0.distcp"] = contents["__0_0.distcp"]
    found = assembly_of(contents)
    assert "the metadata does not name __9_0.distcp" in found.notes


def test_a_chunk_shared_by_every_tensor_is_read_once() -> None:
    box = ChunkStorageMetadata(torch.Size([0] * 40), torch.Size([1] * 40))
    one = TensorStorageMetadata(TensorProperties(), torch.Size([1] * 40), [box] * 1000)
    bomb = pickle.dumps(Metadata({f"w{n}": one for n in range(500)}, storage_data={}))
    found = read_dcp_metadata(BytesSource(bomb))
    assert len({id(b) for t in found.tensors.values() for b in t.chunks}) == 1
    bomb = pickle.dumps(Metadata({f"w{n}": one for n in range(1001)}, storage_data={}))
    with pytest.raises(LimitError, match="chunks"):
        read_dcp_metadata(BytesSource(bomb))


def test_many_boxes_side_by_side_are_not_compared_forever() -> None:
    boxes = [((0, n), (1, 1)) for n in range(3000)]
    check_tiling((1, 3000), boxes, "w")
    # Long boxes that all begin at different places of one axis and differ on the other.
    slanted = [((n, n), (1500 - n, 1)) for n in range(1500)]
    with pytest.raises(LimitError, match="side by side"):
        check_tiling((1500, 1500), slanted, "w")


def test_the_file_alone_lists_its_archives_by_place() -> None:
    first, second = saved(torch.ones(2)), saved({"lr": 0.1})
    layout = read_layout(BytesSource(first + second, "__0_0.distcp"))
    assert layout.format == "distcp"
    assert [t.name for t in layout.tensors] == ["item@0"]
    assert layout.metadata == {f"item@{len(first)}.lr": 0.1}


def test_a_bare_pickle_of_something_else_is_not_taken_for_metadata() -> None:
    data = pickle.dumps({"state_dict": 1})
    assert not READERS.get("dcp-metadata").recognises(data, BytesSource(data))


def shard(rank: int, folder: str, port: int) -> None:
    """One of two ranks of an FSDP2 training."""
    import torch.distributed as dist
    from torch.distributed.fsdp import fully_shard

    os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port))
    torch.set_num_threads(1)
    dist.init_process_group("gloo", rank=rank, world_size=2)
    mesh = dist.device_mesh.init_device_mesh("cpu", (2,))
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 5), nn.Linear(5, 1))
    for layer in model:
        fully_shard(layer, mesh=mesh)
    fully_shard(model, mesh=mesh)
    optimizer = torch.optim.AdamW(model.parameters())
    model(torch.ones(1, 3)).sum().backward()
    optimizer.step()
    weights, moments = get_state_dict(model, optimizer)
    dcp.save({"model": weights, "optim": moments}, checkpoint_id=f"{folder}/sharded")
    whole = StateDictOptions(full_state_dict=True, cpu_offload=True)
    weights, moments = get_state_dict(model, optimizer, options=whole)
    if not rank:
        torch.save({"model": weights, "optim": moments}, f"{folder}/whole.pt")
    dist.destroy_process_group()


@pytest.mark.slow
def test_two_ranks_of_fsdp2_have_the_values_of_the_whole_model(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    torch.multiprocessing.spawn(shard, args=(str(tmp_path), port), nprocs=2)
    contents = contents_of(tmp_path / "sharded")
    assert set(contents) == {".metadata", "__0_0.distcp", "__1_0.distcp"}
    values = values_of(assembly_of(contents), contents)
    whole = dict(flattened("", torch.load(tmp_path / "whole.pt", weights_only=False)))
    expected = {k: bytes_of(v) for k, v in whole.items() if isinstance(v, torch.Tensor)}
    assert expected.keys() == values.keys()
    assert values == expected
