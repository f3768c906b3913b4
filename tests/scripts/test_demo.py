"""What ./scripts/demo pushes is what it says, and its verdict notices what must not happen."""

import importlib
import shutil
import socket
from pathlib import Path
from types import ModuleType, SimpleNamespace

import ml_dtypes
import numpy as np
import pytest
from safetensors.numpy import load_file

from scripts import demo_checkpoints as checkpoints
from scripts.demo_hub import DemoError, free_port


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Every checkpoint of the demo, by label."""
    root = tmp_path_factory.mktemp("checkpoints")
    folders = {}
    for number, push in enumerate(checkpoints.pushes()):
        folders[push.label] = root / str(number)
        push.build(folders[push.label])
    return folders


@pytest.fixture
def demo(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The script as a module; it finds its siblings as it does when run."""
    monkeypatch.syspath_prepend(str(Path(checkpoints.__file__).parent))
    return importlib.import_module("demo")


def test_bfloat16_is_rounded_to_nearest_even() -> None:
    patterns = np.random.Generator(np.random.PCG64(7)).integers(
        0, 1 << 32, 200_000, dtype=np.uint32
    )
    ties = (np.arange(1 << 16, dtype=np.uint32) << 16) | np.uint32(0x8000)
    floats = np.concatenate([patterns, ties]).view(np.float32)
    numbers = floats[~np.isnan(floats)]
    with np.errstate(over="ignore"):
        expected = numbers.astype(ml_dtypes.bfloat16).view(np.uint16)
    np.testing.assert_array_equal(checkpoints.to_bf16_bits(numbers), expected)
    nans = checkpoints.to_bf16_bits(floats[np.isnan(floats)]).view(ml_dtypes.bfloat16)
    assert np.isnan(nans.astype(np.float32)).all()


def test_a_fine_tune_changes_the_last_two_layers_and_the_pooler_only(
    built: dict[str, Path],
) -> None:
    base = load_file(built[checkpoints.BASE_REPO] / checkpoints.WEIGHTS)
    tuned = load_file(built["admin/minilm-tuned-b"] / checkpoints.WEIGHTS)
    assert tuned.keys() == base.keys()
    changed = {name for name in base if not np.array_equal(base[name], tuned[name])}
    # MiniLM's pooler was never trained: its bias is all zeros, and noise in proportion is none.
    expected = {n for n in base if checkpoints.TUNED_TENSORS.match(n) and base[n].any()}
    assert changed == expected
    assert {name.split(".")[2] for name in changed if name.startswith("encoder")} == {"4", "5"}


def test_derived_checkpoints_are_the_same_in_every_run(
    built: dict[str, Path], tmp_path: Path
) -> None:
    again = next(p for p in checkpoints.pushes() if p.repo == "admin/minilm-tuned-c")
    again.build(tmp_path / "again")
    assert checkpoints.digests(tmp_path / "again") == checkpoints.digests(built[again.label])


def test_fine_tunes_differ_and_the_cast_is_one_blob_in_two_places(built: dict[str, Path]) -> None:
    weights = {
        label: checkpoints.digest(folder / checkpoints.WEIGHTS).sha256
        for label, folder in built.items()
    }
    assert weights["admin/minilm-bf16"] == weights[f"{checkpoints.BASE_REPO} @ bf16"]
    assert len(set(weights.values())) == len(weights) - 1


def test_derived_cards_name_their_parent(built: dict[str, Path]) -> None:
    for label, folder in built.items():
        card = (folder / "README.md").read_text()
        if label != checkpoints.BASE_REPO:
            assert f"\nbase_model: {checkpoints.BASE_REPO}\n" in card


def test_a_port_in_use_is_refused_with_a_way_out() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(DemoError, match="--port 0"):
            free_port(taken.getsockname()[1])
    assert free_port(0) > 0


@pytest.mark.parametrize("damage", [None, "changed", "missing"])
def test_the_demo_notices_a_file_that_came_back_different(
    demo: ModuleType, tmp_path: Path, damage: str | None
) -> None:
    sent = tmp_path / "sent"
    sent.mkdir()
    (sent / "a.bin").write_bytes(b"abc")
    (sent / "b.bin").write_bytes(b"def")

    def download(*arguments: object) -> None:
        folder = Path(str(arguments[-1]))
        shutil.copytree(sent, folder)
        if damage == "changed":
            (folder / "a.bin").write_bytes(b"abd")
        elif damage == "missing":
            (folder / "b.bin").unlink()

    push = demo.Push("admin/x", "main", "", lambda folder: None)
    pushed = demo.Pushed(push, demo.digests(sent), 0)
    same = demo.pull_one(SimpleNamespace(run=download), pushed, tmp_path)
    assert same is (damage is None)


@pytest.mark.parametrize(("stored_bytes", "good"), [(650, True), (651, False)])
def test_the_demo_notices_a_store_that_is_larger_than_promised(
    demo: ModuleType, stored_bytes: int, good: bool
) -> None:
    state = {"pending": 0, "logical_bytes": 1000, "stored_bytes": stored_bytes}
    push = demo.Push("admin/x", "main", "", lambda folder: None)
    pushed = demo.Pushed(push, {"a": demo.FileDigest(1000, "0" * 64)}, stored_bytes)
    hub = SimpleNamespace(settled_store=lambda: state)
    assert demo.show_sizes(hub, [pushed]) is good
