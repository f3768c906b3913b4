"""Files that have a recipe trained elsewhere, by many processes on one machine or several.

What each starts is `torchrun`, whose ranks `cairn finetune` finds by itself. Sources:
https://docs.pytorch.org/docs/stable/elastic/run.html,
https://huggingface.co/docs/accelerate/package_reference/cli, https://slurm.schedmd.com/sbatch.html,
https://docs.skypilot.co/en/latest/reference/yaml-spec.html,
https://kubernetes.io/docs/tasks/job/job-with-pod-to-pod-communication/
"""

import re
from dataclasses import dataclass
from enum import StrEnum
from shlex import join, quote
from typing import Any

import yaml

from cairn.errors import RequestError

PORT = 29500
_NAME = re.compile(r"[a-z]([-a-z0-9]{0,50}[a-z0-9])?\Z")  # a label of DNS, and short
_INSTALL = "pip install 'cairn-hub[train]'"
_FOLDER = "/work"


class LaunchFormat(StrEnum):
    """What a launch file is for."""

    TORCHRUN = "torchrun"
    ACCELERATE = "accelerate"
    SLURM = "slurm"
    SKYPILOT = "skypilot"
    KUBERNETES = "kubernetes"


@dataclass(frozen=True, slots=True)
class Launch:
    """What is to be launched: a recipe, on so many machines, by so many processes on each.

    `gpus` on each machine, one for each process; 0: `processes` that use none. `recipe` and `out`
    are paths as the machines see them.
    """

    recipe: str
    out: str
    name: str
    nodes: int = 1
    gpus: int = 1
    processes: int = 1
    hours: int = 24
    gpu: str = "A100"
    image: str = "python:3.12"
    claim: str = "training"

    def __post_init__(self) -> None:
        if not _NAME.match(self.name):
            raise RequestError(
                f"{self.name!r} cannot name a job everywhere: use small letters, digits and -,"
                " beginning with a letter"
            )
        if min(self.nodes, self.processes, self.hours) < 1 or self.gpus < 0:
            raise RequestError("a launch needs a machine, a process on it and an hour at least")

    @property
    def on_each(self) -> int:
        """Processes on each machine."""
        return self.gpus or self.processes


def launch_file(launch: Launch, wanted: LaunchFormat) -> str:
    """The text of a file, which a shell or the program that it is for takes as it is."""
    match wanted:
        case LaunchFormat.TORCHRUN:
            return _script(launch)
        case LaunchFormat.ACCELERATE:
            return _accelerate(launch)
        case LaunchFormat.SLURM:
            return _slurm(launch)
        case LaunchFormat.SKYPILOT:
            return _yaml(_skypilot(launch))
        case LaunchFormat.KUBERNETES:
            return _yaml(*_kubernetes(launch))


def _command(launch: Launch, host: str) -> str:
    """The shell command of one machine; `host` is the first one's name, as the shell knows it."""
    meeting = (
        ["--standalone"]
        if launch.nodes == 1
        else [f"--nnodes={launch.nodes}", f"--rdzv-id={launch.name}", "--rdzv-backend=c10d"]
    )
    start = join(["torchrun", *meeting, f"--nproc-per-node={launch.on_each}"])
    where = "" if launch.nodes == 1 else f' --rdzv-endpoint="{host}:{PORT}"'
    return f"{start}{where} --no-python {_program(launch)}"


def _program(launch: Launch) -> str:
    """The shell command of one process."""
    device = [] if launch.gpus else ["--device", "cpu"]
    return join(["cairn", "finetune", "--recipe", launch.recipe, "--out", launch.out, *device])


def _script(launch: Launch) -> str:
    return "\n".join([*_head(launch), f"exec {_command(launch, '$MASTER_ADDR')}", ""])


def _head(launch: Launch) -> list[str]:
    lines = ["#!/bin/sh", "set -eu"]
    if launch.nodes > 1:
        lines.append(f"# Run this on each of {launch.nodes} machines, which share the folder.")
        lines.append(': "${MASTER_ADDR:?say here the name of the first machine}"')
    return lines


def _accelerate(launch: Launch) -> str:
    """A script that writes a configuration and hands it to accelerate."""
    total = launch.nodes * launch.on_each
    configuration: dict[str, Any] = {
        "compute_environment": "LOCAL_MACHINE",
        # The type by which accelerate starts processes itself, with GPUs or without: for MULTI_CPU
        # it leaves that to mpirun.
        "distributed_type": "MULTI_GPU" if total > 1 else "NO",
        "num_machines": launch.nodes,
        "num_processes": total,
        "main_process_port": 0 if launch.nodes == 1 else PORT,
        "mixed_precision": "no",  # what is computed in is the recipe's
        "use_cpu": False,
    }
    lines, where = _head(launch), ""
    if launch.nodes > 1:
        configuration["rdzv_backend"] = "c10d"
        lines.append(': "${MACHINE_RANK:?say here which machine this is, from 0}"')
        where = ' --machine_rank "$MACHINE_RANK" --main_process_ip "$MASTER_ADDR"'
    return "\n".join(
        [
            *lines,
            "config=$(mktemp)\ntrap 'rm -f \"$config\"' EXIT",
            f"cat > \"$config\" <<'END'\n{_yaml(configuration)}END",
            f'accelerate launch --config_file "$config"{where} --no_python {_program(launch)}',
            "",
        ]
    )


def _slurm(launch: Launch) -> str:
    gpus = [f"#SBATCH --gpus-per-node={launch.gpus}"] if launch.gpus else []
    return "\n".join(
        [
            "#!/bin/bash",
            f"#SBATCH --job-name={launch.name}",
            f"#SBATCH --nodes={launch.nodes}",
            "#SBATCH --ntasks-per-node=1",
            *gpus,
            f"#SBATCH --time={launch.hours}:00:00",
            "#SBATCH --requeue",
            "set -euo pipefail",
            'first=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)',
            "export first",
            f"srun bash -c {quote(_command(launch, '$first'))}",
            "",
        ]
    )


def _skypilot(launch: Launch) -> dict[str, Any]:
    resources = {"accelerators": f"{launch.gpu}:{launch.gpus}"} if launch.gpus else {"cpus": "4+"}
    run = 'first=$(echo "$SKYPILOT_NODE_IPS" | head -n 1)\n' + _command(launch, "$first") + "\n"
    return {
        "name": launch.name,
        "num_nodes": launch.nodes,
        "resources": resources,
        "workdir": ".",
        "setup": f"{_INSTALL}\n",
        "run": run,
    }


def _kubernetes(launch: Launch) -> tuple[dict[str, Any], dict[str, Any]]:
    """A service by whose name the first pod is found, and a job with a pod for each machine."""
    labels = {"app": launch.name}
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": launch.name},
        "spec": {"clusterIP": "None", "selector": labels, "publishNotReadyAddresses": True},
    }
    container: dict[str, Any] = {
        "name": "train",
        "image": launch.image,
        "workingDir": _FOLDER,
        "command": ["sh", "-c"],
        "args": [f"set -eu\n{_INSTALL}\n{_command(launch, f'{launch.name}-0.{launch.name}')}\n"],
        "volumeMounts": [
            {"name": "folder", "mountPath": _FOLDER},
            {"name": "memory", "mountPath": "/dev/shm"},  # noqa: S108 - between processes
        ],
    }
    if launch.gpus:
        container["resources"] = {"limits": {"nvidia.com/gpu": launch.gpus}}
    pod = {
        "metadata": {"labels": labels},
        "spec": {
            "subdomain": launch.name,
            "restartPolicy": "OnFailure",
            "containers": [container],
            "volumes": [
                {"name": "folder", "persistentVolumeClaim": {"claimName": launch.claim}},
                {"name": "memory", "emptyDir": {"medium": "Memory"}},
            ],
        },
    }
    job = {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": launch.name},
        "spec": {
            "completions": launch.nodes,
            "parallelism": launch.nodes,
            "completionMode": "Indexed",
            "backoffLimit": 20,
            "activeDeadlineSeconds": launch.hours * 3600,
            "template": pod,
        },
    }
    return service, job


def _yaml(*documents: dict[str, Any]) -> str:
    return yaml.dump_all(documents, Dumper=_Dumper, sort_keys=False, width=1000)


class _Dumper(yaml.SafeDumper):
    """Writes texts as `_text` does."""


def _text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
    """Texts of several lines as blocks, so that people can read them."""
    style = "|" if "\n" in value else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=style)


_Dumper.add_representer(str, _text)
