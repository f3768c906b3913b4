"""The verb estimate, exactly: the model's own code on tensors without memory."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from typing import Any

from cairn.errors import MissingExtraError, RequestError, UnavailableError
from cairn.estimation.plan import Plan
from cairn.estimation.walking import Walker
from cairn.formats.limits import MAX_CONFIG_BYTES
from cairn.formats.strict_json import read_json
from cairn.workflows.companions import CONFIG
from cairn.workflows.estimate import subject_of, trained_model
from cairn.workflows.estimate_description import describe_plan
from cairn.workflows.readable import ReadableCheckpoint

# -P: one often stands in a stranger's folder, and nothing in it is imported.
_CHILD = ("-P", "-m", "cairn.training.exact.child")
_OFFLINE = {"HF_HUB_OFFLINE": "1"}  # a configuration may name code and weights on a hub
MAX_SECONDS = 600.0
MAX_BYTES = 16 << 30
"""Of address space, of which libraries map several GB and use a tenth."""


@dataclass(frozen=True, slots=True)
class ExactEstimate:
    """Bytes of tensors at the fullest moment of a step, by part, and what the process had beside.

    `process_bytes` is what this machine's process with the libraries took in all, with tensors
    that had no memory: added to `peak_bytes` it is the peak of a process that trains on a CPU.
    """

    peak_bytes: int
    parts: dict[str, int]
    flops_per_step: int
    parameters: int
    trained: int
    process_bytes: int


def estimate_exactly(
    found: ReadableCheckpoint, plan: Plan, *, max_seconds: float = MAX_SECONDS
) -> ExactEstimate:
    """Run two steps of a plan on fake tensors: the model is made from its configuration.

    Raises:
        RequestError: there is no configuration, or the model or the plan cannot be run so.
        MissingExtraError: a library is not installed.
        UnavailableError: it took too long or too much memory.
    """
    path = f"{trained_model(found.checkpoint).folder}{CONFIG}"
    if path not in found.files:
        raise RequestError(f"--exact makes the model from {path}, which is not there")
    with found.files[path].open() as source:
        config = read_json(source, MAX_CONFIG_BYTES, what=path, constants=True)
    if not isinstance(config, dict):
        raise RequestError(f"{path} is not a configuration: it holds no JSON object")
    told = ask(config, _told(found, plan), max_seconds)
    return ExactEstimate(**told)


def ask(config: dict[str, Any], plan: dict[str, Any], max_seconds: float) -> dict[str, Any]:
    """The answer of a process of its own; see `cairn.training.exact.child`.

    Raises:
        RequestError, MissingExtraError, UnavailableError: as `estimate_exactly`.
    """
    request = json.dumps({"config": config, "plan": plan, "max_bytes": MAX_BYTES})
    try:
        done = subprocess.run(  # noqa: S603 - this program's own module
            [sys.executable, *_CHILD],
            input=request,
            capture_output=True,
            text=True,
            env={**os.environ, **_OFFLINE},
            timeout=max_seconds,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise UnavailableError(
            f"the exact estimate was ended after {max_seconds:.0f} s; without --exact it takes one"
        ) from None
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
        raise UnavailableError(
            f"the model does not run on tensors without values: {last[:300]}; leave out --exact"
        )
    told: dict[str, Any] = json.loads(done.stdout)
    if "missing" in told:
        raise MissingExtraError(told["missing"])
    if "refused" in told:
        raise RequestError(told["refused"])
    return told


def _told(found: ReadableCheckpoint, plan: Plan) -> dict[str, Any]:
    """The plan as the process takes it: with the modules an adapter goes to."""
    targets: list[str] = []
    if plan.method.adapts:
        targets = sorted(Walker(subject_of(found.checkpoint)).targets(plan))
    return {**describe_plan(plan), "targets": targets, "on_cpu": plan.on_cpu}
