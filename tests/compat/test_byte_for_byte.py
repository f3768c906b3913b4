"""What comes out is what went in, before and after it was rewritten as tensors."""

import hashlib
import json
import random
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from tests.compat import minilm
from tests.compat.clients import EACH_WAY, XET, Client, Mode
from tests.compat.hubs import Hub


@pytest.fixture
def lazy_hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    """An empty hub that leaves everything as it landed until `cairn store optimize` is run."""
    with Hub(tmp_path_factory.mktemp("lazy-hub"), optimize="false") as running:
        yield running


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Files of every kind the store keeps in its own way, and some it may take for them."""
    root = tmp_path_factory.mktemp("every-kind")
    numbers = np.random.default_rng(7)
    floats = numbers.normal(size=(700, 300)).astype(np.float32)
    tensors = {
        "f32": floats,
        "f16": floats.astype(np.float16),
        "f64": floats[:50].astype(np.float64),
        "i64": np.arange(10_000),
        "bool": floats > 0,
        "zeros": np.zeros((400, 400), np.float32),
        "empty": np.zeros((0, 4), np.float32),
        "scalar": np.array(3, np.float32),
    }
    save_file(tensors, root / "mixed.safetensors", metadata={"format": "pt"})
    save_file({"twin": floats}, root / "twin.safetensors")
    whole = (root / "mixed.safetensors").read_bytes()
    (root / "cut.safetensors").write_bytes(whole[:-1000])
    (root / "longer.safetensors").write_bytes(whole + b"tail")
    (root / "lying.safetensors").write_bytes(b"\xff" * 8 + whole[8:])
    (root / "noise.bin").write_bytes(random.Random(3).randbytes(3_000_001))
    (root / "zeros.bin").write_bytes(bytes(5_000_000))
    (root / "one.bin").write_bytes(b"\x01")
    (root / "text.txt").write_bytes("žluťoučký kůň\r\n".encode() * 99)
    (root / "empty.txt").write_bytes(b"")
    return root


@pytest.fixture(scope="module")
def torch_file(folder: Path) -> Path:
    """A checkpoint as torch.save writes it, with optimizer state, shared and viewed tensors."""
    torch = pytest.importorskip("torch")
    model = torch.nn.Sequential(torch.nn.Linear(64, 64), torch.nn.Linear(64, 8))
    optimizer = torch.optim.AdamW(model.parameters())
    model(torch.randn(4, 64)).sum().backward()
    optimizer.step()
    weight = model[0].weight.detach()
    state = {
        "model": model.state_dict(),
        "optimizer": optimizer.state_dict(),
        "view": weight[::2, 3:],
        "half": weight.to(torch.bfloat16),
        "epoch": 3,
    }
    torch.save(state, folder / "checkpoint.pt")
    return folder / "checkpoint.pt"


@pytest.mark.parametrize("mode", EACH_WAY, ids=["xet", "old", "lfs"])
def test_every_file_comes_back_as_it_landed_and_as_it_is_kept_later(
    mode: Mode, lazy_hub: Hub, new_client: Callable[..., Client], folder: Path, torch_file: Path,
    tmp_path: Path,
) -> None:  # fmt: skip
    client = new_client(mode, url=lazy_hub.url, token=lazy_hub.admin_token)
    repo = "admin/every-kind-of-file"
    client.api.create_repo(repo)
    client.api.upload_folder(repo_id=repo, folder_path=folder, commit_message="everything")
    weights = minilm.FOLDER / minilm.WEIGHTS
    client.api.upload_file(path_or_fileobj=weights, path_in_repo=minilm.WEIGHTS, repo_id=repo)
    want = minilm.digests(folder) | {minilm.WEIGHTS: minilm.sha256(weights)}
    assert torch_file.name in want
    landed = snapshot(client, repo, tmp_path / "landed")
    assert {path: landed[path] for path in want} == want
    done = json.loads(lazy_hub.cairn("store", "optimize", "--json"))
    kept = snapshot(client, repo, tmp_path / "kept")
    assert {path: kept[path] for path in want} == want
    assert lazy_hub.store()["pending"] == 0
    assert done["stored_bytes"] <= done["plain_bytes"]
    check_ranges(lazy_hub, repo)
    lazy_hub.verified()


def snapshot(client: Client, repo: str, target: Path) -> dict[str, str]:
    client.api.snapshot_download(repo, local_dir=target, force_download=True)
    return minilm.digests(target)


def check_ranges(hub: Hub, repo: str) -> None:
    """Any part of a file that is kept as tensors reads as that part of the file."""
    local = (minilm.FOLDER / minilm.WEIGHTS).read_bytes()
    size = len(local)
    chosen = random.Random(11)
    ranges = [(0, 0), (0, 7), (8, 11_000), (size - 1, size - 1), (size - 5000, size - 1)]
    for _ in range(20):
        start = chosen.randrange(size)
        ranges.append((start, min(start + chosen.choice([1, 300, 70_000, 3_000_000]), size - 1)))
    path = f"/{repo}/resolve/main/{minilm.WEIGHTS}"
    for first, last in ranges:
        got = hub.get(path, Range=f"bytes={first}-{last}")
        assert got == local[first : last + 1], (first, last)
    assert hub.get(path, Range="bytes=-1000") == local[-1000:]
    assert hub.get(path, Range=f"bytes={size - 10}-") == local[-10:]


def test_identical_uploads_take_their_space_once(
    lazy_hub: Hub, tmp_path: Path, new_client: Callable[..., Client]
) -> None:
    client = new_client(XET, url=lazy_hub.url, token=lazy_hub.admin_token)
    content = random.Random(5).randbytes(2_000_000)
    (tmp_path / "a.bin").write_bytes(content)
    for repo in ("admin/first-copy", "admin/second-copy"):
        client.api.create_repo(repo)
        before = lazy_hub.store()
        client.api.upload_folder(repo_id=repo, folder_path=tmp_path)
        grown = lazy_hub.store()["stored_bytes"] - before["stored_bytes"]
        assert (grown >= 2_000_000) is (repo == "admin/first-copy")
    file = client.api.hf_hub_download("admin/second-copy", "a.bin")
    assert hashlib.sha256(Path(file).read_bytes()).digest() == hashlib.sha256(content).digest()
