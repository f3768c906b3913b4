"""Files that launch a recipe elsewhere: what reads them takes them, and one is really run."""

import shlex
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from cairn.errors import RequestError
from cairn.workflows.launch_files import Launch, LaunchFormat, launch_file

ODD = "a folder/re'cipe $(x).json"


def launch(**named: Any) -> Launch:
    return Launch(**{"recipe": ODD, "out": "out", "name": "tune", "nodes": 2, "gpus": 8, **named})


def check_command(script: str, *, nodes: int) -> list[str]:
    """The words of the command, after a shell has read the script."""
    checked = subprocess.run(["bash", "-n"], input=script, text=True, capture_output=True)
    assert checked.returncode == 0, checked.stderr
    line = next(line for line in script.splitlines() if "torchrun" in line)
    words = shlex.split(line)
    if "bash" in words:  # a script in a script
        words = shlex.split(words[-1])
    words = words[words.index("torchrun") :]
    assert words[words.index("cairn") :][:6] == [
        "cairn",
        "finetune",
        "--recipe",
        ODD,
        "--out",
        "out",
    ]
    assert ("--standalone" in words) is (nodes == 1)
    assert (f"--nnodes={nodes}" in words) is (nodes > 1)
    return words


@pytest.mark.parametrize("nodes", [1, 2])
@pytest.mark.parametrize("wanted", [LaunchFormat.TORCHRUN, LaunchFormat.SLURM])
def test_scripts_are_those_of_a_shell(wanted: LaunchFormat, nodes: int) -> None:
    script = launch_file(launch(nodes=nodes), wanted)
    words = check_command(script, nodes=nodes)
    assert "--nproc-per-node=8" in words
    asked = [line.removeprefix("#SBATCH ") for line in script.splitlines() if "SBATCH" in line]
    if wanted is LaunchFormat.SLURM:
        assert {f"--nodes={nodes}", "--gpus-per-node=8", "--ntasks-per-node=1"} <= set(asked)
    else:
        assert asked == []


@pytest.mark.parametrize("nodes", [1, 2])
def test_accelerate_takes_the_configuration_and_the_command(nodes: int, tmp_path: Path) -> None:
    commands = pytest.importorskip("accelerate.commands.launch")
    from accelerate.commands.config.config_args import load_config_from_file

    script = launch_file(launch(nodes=nodes), LaunchFormat.ACCELERATE)
    checked = subprocess.run(["sh", "-n"], input=script, text=True, capture_output=True)
    assert checked.returncode == 0, checked.stderr
    (tmp_path / "config").write_text(script.partition("'END'\n")[2].partition("END\n")[0])
    said = load_config_from_file(str(tmp_path / "config"))
    assert (said.num_machines, said.num_processes) == (nodes, 8 * nodes)
    words = shlex.split(script.splitlines()[-1].replace("$MACHINE_RANK", "1"))
    asked = commands.launch_command_parser().parse_args(words[2:])
    assert (asked.training_script, asked.no_python) == ("cairn", True)
    assert asked.training_script_args[:3] == ["finetune", "--recipe", ODD]
    assert asked.machine_rank == (None if nodes == 1 else 1)


def test_skypilot_gets_machines_and_accelerators() -> None:
    said = yaml.safe_load(launch_file(launch(gpu="H100"), LaunchFormat.SKYPILOT))
    assert (said["num_nodes"], said["resources"]) == (2, {"accelerators": "H100:8"})
    check_command(said["run"], nodes=2)
    assert "cairn-hub[train]" in said["setup"]


def test_kubernetes_gets_a_pod_for_each_machine_that_finds_the_first() -> None:
    text = launch_file(launch(claim="disk"), LaunchFormat.KUBERNETES)
    service, job = yaml.safe_load_all(text)
    spec, pod = job["spec"], job["spec"]["template"]["spec"]
    assert (spec["completions"], spec["parallelism"], spec["completionMode"]) == (2, 2, "Indexed")
    assert service["metadata"]["name"] == pod["subdomain"] == "tune"
    assert service["spec"]["selector"] == job["spec"]["template"]["metadata"]["labels"]
    (container,) = pod["containers"]
    assert container["resources"]["limits"] == {"nvidia.com/gpu": 8}
    words = check_command(container["args"][0], nodes=2)
    assert "--rdzv-endpoint=tune-0.tune:29500" in words
    assert pod["volumes"][0]["persistentVolumeClaim"]["claimName"] == "disk"


def test_processors_will_do() -> None:
    words = check_command(
        launch_file(launch(gpus=0, processes=2, nodes=1), LaunchFormat.TORCHRUN), nodes=1
    )
    assert "--nproc-per-node=2" in words and words[-2:] == ["--device", "cpu"]
    pod = list(yaml.safe_load_all(launch_file(launch(gpus=0), LaunchFormat.KUBERNETES)))[1]
    assert "resources" not in pod["spec"]["template"]["spec"]["containers"][0]


@pytest.mark.parametrize("name", ["", "-a", "A", "a b", "x" * 60, "a\nb"])
def test_names_that_not_every_place_takes_are_refused(name: str) -> None:
    with pytest.raises(RequestError, match="cannot name a job"):
        launch(name=name)


def test_no_machine_is_no_launch() -> None:
    with pytest.raises(RequestError, match="a machine, a process on it and an hour"):
        launch(nodes=0)
