"""Orbax folders: recognised, named as far as JSON tells, and values claimed only where read."""

import json
import zlib
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest

from cairn.domain import Role
from cairn.errors import MalformedError
from cairn.formats.assemblers.orbax import OrbaxAssembler
from cairn.testing.assemblers import AssemblerConformance
from cairn.workflows.inspect import read_path

KERNEL = np.arange(15, dtype="f4").reshape(3, 5)


def leaf(*keys: str, shape: list[int] | None = None) -> dict[str, Any]:
    value: dict[str, Any] = {"value_type": "jax.Array", "skip_deserialize": False}
    if shape is not None:
        value["write_shape"] = shape
    return {"key_metadata": [{"key": k, "key_type": 2} for k in keys], "value_metadata": value}


def write_tree(folder: Path, **more: Any) -> None:
    """`_METADATA` as Orbax 0.12 writes it."""
    tree = {
        "('params', 'kernel')": leaf("params", "kernel", shape=[3, 5]),
        "('step',)": leaf("step"),
    }
    folder.mkdir(exist_ok=True)
    (folder / "_METADATA").write_text(json.dumps({"tree_metadata": tree, **more}))


def write_array(
    folder: Path,
    array: np.ndarray,
    chunks: tuple[int, ...],
    pack: Callable[[bytes], bytes] = bytes,
    /,
    **options: Any,
) -> None:
    """A Zarr 2 array; `pack` compresses the chunks, `options` replace parts of the description."""
    folder.mkdir()
    description = {
        "zarr_format": 2,
        "shape": array.shape,
        "chunks": chunks,
        "dtype": array.dtype.str,
        "order": "C",
        "compressor": None,
        "fill_value": None,
        "filters": None,
        **options,
    }
    (folder / ".zarray").write_text(json.dumps(description))
    grid = tuple(-(-n // step) for n, step in zip(array.shape, chunks, strict=True))
    for place in np.ndindex(grid):
        chunk = np.zeros(chunks, array.dtype)
        start = tuple(at * step for at, step in zip(place, chunks, strict=True))
        part = array[tuple(slice(a, a + n) for a, n in zip(start, chunks, strict=True))]
        chunk[tuple(slice(n) for n in part.shape)] = part
        name = ".".join(map(str, place)) or "0"
        (folder / name).write_bytes(pack(chunk.tobytes()))


class TestOrbax(AssemblerConformance):
    assembler = OrbaxAssembler()

    @classmethod
    def make(cls) -> dict[str, dict[str, bytes]]:
        packed = {"compressor": {"id": "zlib", "level": 1}}
        with TemporaryDirectory() as name:
            folder = Path(name)
            write_tree(folder, use_ocdbt=False)
            write_array(folder / "params.kernel", KERNEL, (2, 2), zlib.compress, **packed)
            write_array(folder / "step", np.array(3, ">i8"), ())
            return {
                "plain and deflated arrays": {
                    path.relative_to(folder).as_posix(): path.read_bytes()
                    for path in sorted(folder.rglob("*"))
                    if path.is_file()
                }
            }


def values(folder: Path) -> dict[str, bytes]:
    found = read_path(folder)
    assert found.checkpoint.unread == {}
    return {t.name: b"".join(map(bytes, found.blocks(p, t))) for p, t in found.checkpoint.tensors()}


def test_a_database_is_recognised_and_named_and_not_claimed_to_be_read(tmp_path: Path) -> None:
    write_tree(tmp_path, use_ocdbt=True)
    for place in ("manifest.ocdbt", "ocdbt.process_0/manifest.ocdbt", "d/0123"):
        (tmp_path / place).parent.mkdir(exist_ok=True)
        (tmp_path / place).write_bytes(b"\x0c\xdb\x3a\x2a" + bytes(60))
    checkpoint = read_path(tmp_path).checkpoint
    assert list(checkpoint.tensors()) == []
    assert checkpoint.notes == (
        "_METADATA: an Orbax checkpoint (OCDBT): recognised, tensors not read yet",
    )
    (assembly,) = checkpoint.assemblies
    assert assembly.metadata == {
        "tree.params.kernel": "jax.Array of shape [3, 5]",
        "tree.step": "jax.Array",
    }
    assert checkpoint.training == {}


def test_a_database_without_metadata_is_recognised(tmp_path: Path) -> None:
    (tmp_path / "manifest.ocdbt").write_bytes(b"\x0c\xdb\x3a\x2a" + bytes(60))
    (note,) = read_path(tmp_path).checkpoint.notes
    assert "not read yet" in note


@pytest.mark.parametrize("chunks", [(3, 5), (2, 2), (1, 5), (4, 8)])
@pytest.mark.parametrize("packed", [False, True])
def test_plain_and_deflated_zarr_arrays_have_their_values(
    tmp_path: Path, chunks: tuple[int, ...], packed: bool
) -> None:
    pack = zlib.compress if packed else bytes
    options = {"compressor": {"id": "zlib", "level": 1}} if packed else {}
    write_tree(tmp_path, use_ocdbt=False)
    write_array(tmp_path / "params.kernel", KERNEL, chunks, pack, **options)
    write_array(tmp_path / "opt_state.count", np.array(3, ">i8"), (), pack, **options)
    assert values(tmp_path) == {
        "params.kernel": KERNEL.tobytes(),
        "opt_state.count": np.array(3, "<i8").tobytes(),
    }
    roles = {t.name: t.role for _, t in read_path(tmp_path).checkpoint.tensors()}
    assert roles == {"params.kernel": Role.WEIGHTS, "opt_state.count": Role.OPTIMIZER}


def test_other_compressors_are_listed_and_reading_says_so(tmp_path: Path) -> None:
    write_tree(tmp_path)
    write_array(tmp_path / "params.kernel", KERNEL, (3, 5), compressor={"id": "zstd", "level": 1})
    checkpoint = read_path(tmp_path).checkpoint
    assert [(t.name, t.shape) for _, t in checkpoint.tensors()] == [("params.kernel", (3, 5))]
    assert any("zstd" in note and "not read yet" in note for note in checkpoint.notes)
    with pytest.raises(MalformedError, match="zarr zstd"):
        values(tmp_path)


@pytest.mark.parametrize("options", [{"order": "F"}, {"fill_value": 7}, {"dtype": "<U8"}])
def test_arrays_of_other_kinds_are_left_out_with_a_note(tmp_path: Path, options: Any) -> None:
    write_tree(tmp_path)
    write_array(tmp_path / "w", KERNEL, (3, 5), **options)
    checkpoint = read_path(tmp_path).checkpoint
    assert list(checkpoint.tensors()) == []
    assert any("not read yet" in note for note in checkpoint.notes)


def test_a_file_that_is_only_named_like_orbax_is_nothing(tmp_path: Path) -> None:
    (tmp_path / "_METADATA").write_text('{"something": "else"}')
    assert read_path(tmp_path).checkpoint.assemblies == ()


@pytest.mark.parametrize(
    "options",
    [
        {"shape": [-1, 5]},
        {"shape": [1 << 62, 1 << 62]},
        {"shape": "3"},
        {"chunks": [0, 5]},
        {"chunks": [3]},
        {"chunks": [3, 6]},
        {"shape": [1 << 40, 5]},
    ],
)
def test_an_array_that_contradicts_itself_is_unread(tmp_path: Path, options: Any) -> None:
    write_tree(tmp_path)
    write_array(tmp_path / "w", KERNEL, (3, 5), **options)
    checkpoint = read_path(tmp_path).checkpoint
    assert list(checkpoint.tensors()) == []
    assert list(checkpoint.unread) == ["_METADATA"]


@pytest.mark.parametrize("text", ["{", "[" * 100_000, '{"tree_metadata": {"a": 3}}'])
def test_broken_metadata_is_unread(tmp_path: Path, text: str) -> None:
    (tmp_path / "_METADATA").write_text(text)
    assert list(read_path(tmp_path).checkpoint.unread) == ["_METADATA"]


def test_a_chunk_that_is_a_link_to_elsewhere_is_refused(tmp_path: Path) -> None:
    write_tree(tmp_path)
    write_array(tmp_path / "w", KERNEL, (3, 5))
    (tmp_path / "w" / "0.0").unlink()
    secret = tmp_path.parent / "secret"
    secret.write_bytes(b"s" * 60)
    (tmp_path / "w" / "0.0").symlink_to(secret)
    checkpoint = read_path(tmp_path).checkpoint
    assert list(checkpoint.tensors()) == []
    assert "leads out" in checkpoint.unread["_METADATA"]
