"""Which parts a checkpoint has, and whether training can go on from it: exactly, or at all.

What a framework leaves out of its checkpoints was tried out and found in its source: the Trainer
stores no sampler seed (https://github.com/huggingface/transformers/issues/17055), Lightning no
random states (https://github.com/Lightning-AI/pytorch-lightning/issues/18780), accelerate restores
them before the loader draws from them (https://github.com/huggingface/accelerate/issues/4071).
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from cairn.domain import (
    Architecture,
    Assembly,
    Completeness,
    Layout,
    Part,
    Role,
    Scalar,
    TensorInfo,
)
from cairn.workflows.companions import TRAINER_STATE
from cairn.workflows.progress import POSITION_KEYS
from cairn.workflows.resumption import Lacks

_BY_NAMES = "tensor names"
_RL_FORMAT = "stable-baselines3"
# What files hold beside the weights that computes the model's output.
_GRAPHS = {
    "onnx": "graph",
    "torch-export": "graph",
    "torchscript": "code",
    "tensorflow-saved-model": "graph",
    "coreml": "program",
}
_PROCESSES = "distributed_state.num_processes"
_MAX_NAMED = 8
_NOT_OF_TRAINING = ("license",)
_OFF_POLICY = frozenset(("dqn", "sac", "td3", "ddpg"))


@dataclass(frozen=True, slots=True)
class Findings:
    """What completeness is judged by: everything else inspect has found."""

    paths: frozenset[str]
    layouts: Mapping[str, Layout]
    assemblies: tuple[Assembly, ...]
    tensors: tuple[tuple[str, TensorInfo], ...]
    architecture: Architecture | None
    training: Mapping[str, Scalar]
    side_files: Mapping[str, Role]
    lacks: Mapping[str, Lacks] = field(default_factory=dict)

    def values(self) -> Iterator[tuple[str, str, Scalar]]:
        """Path, key and value of whatever files say beside tensors."""
        for path, layout in self.layouts.items():
            for key, value in layout.metadata.items():
                yield path, key, value
        for assembly in self.assemblies:
            for key, value in assembly.metadata.items():
                yield assembly.path, key, value


def completeness_of(found: Findings) -> Completeness:
    """The parts with what shows them, and what a resume lacks."""
    by_role = _evidence_by_role(found)
    present = dict(_present(found, by_role))
    missing = []
    if Part.WEIGHTS not in present:
        missing.append("weights")
    if Part.OPTIMIZER not in present:
        missing.append("optimizer state")
    if not any(key in found.training for key in POSITION_KEYS):
        missing.append("position (epoch or step)")
    if found.training.get("args.fp16") is True and Role.SCALER not in by_role:
        missing.append("gradient scaler")
    if Part.OPTIMIZER in present:
        missing += [
            f"{lacks.optimizer} of {label}"
            for label, lacks in found.lacks.items()
            if lacks.is_trained and lacks.optimizer
        ]
    inexact = () if missing else tuple(_inexact(found, by_role))
    models = {label: lacks.what for label, lacks in found.lacks.items()}
    return Completeness(present, tuple(missing), inexact, models)


def _evidence_by_role(found: Findings) -> dict[Role, str]:
    """For each role that occurs, where: tensors before values before file names."""
    counts: dict[Role, Counter[str]] = {}
    for path, tensor in found.tensors:
        counts.setdefault(tensor.role, Counter())[path] += 1
    told = {role: _counted(paths) for role, paths in counts.items()}
    for path, key, _ in found.values():
        for mark, role in (
            ("param_groups.0.", Role.OPTIMIZER),
            ("last_epoch", Role.SCHEDULER),
            ("_scale", Role.SCALER),
            ("growth_tracker", Role.SCALER),
        ):
            if key.startswith(mark) or f".{mark}" in f".{key}":
                told.setdefault(role, f"{path}: {key}")
    for path, role in found.side_files.items():
        told.setdefault(role, path)
    return told


def _counted(paths: Mapping[str, int]) -> str:
    total = sum(paths.values())
    first = min(paths)
    others = len(paths) - 1
    place = f"{first} and {others:,} more file{'s' * (others != 1)}" if others else first
    return f"{total:,} tensor{'s' * (total != 1)} in {place}"


def _present(found: Findings, by_role: Mapping[Role, str]) -> Iterator[tuple[Part, str]]:
    stated = _architecture(found)
    if stated:
        yield Part.ARCHITECTURE, stated
    if Role.WEIGHTS in by_role:
        yield Part.WEIGHTS, by_role[Role.WEIGHTS]
    if Role.OPTIMIZER in by_role:
        yield Part.OPTIMIZER, by_role[Role.OPTIMIZER]
    metadata = list(_metadata(found))
    if metadata:
        yield Part.METADATA, ", ".join(metadata)


def _architecture(found: Findings) -> str:
    """What states the architecture: a configuration, a graph, the classes of modules."""
    architecture = found.architecture
    if architecture is not None and not architecture.evidence.startswith(_BY_NAMES):
        return architecture.evidence
    for path, layout in sorted(found.layouts.items()):
        graph = _GRAPHS.get(layout.format)
        if graph is not None:
            return f"{graph} in {path}"
    for path, layout in sorted(found.layouts.items()):
        if layout.modules:
            return f"classes of modules in {path}"
    return ""


def _metadata(found: Findings) -> Iterator[str]:
    """The first things that files say about the training itself."""
    for path in sorted(found.paths):
        if path.rpartition("/")[2] in (TRAINER_STATE, "training_args.bin"):
            yield path
            return
    yield from [key for key in found.training if key not in _NOT_OF_TRAINING][:3]


def _inexact(found: Findings, by_role: Mapping[Role, str]) -> Iterator[str]:
    """What is not there for a resume that repeats the run bit for bit."""
    frozen = [label for label, lacks in found.lacks.items() if lacks.optimizer]
    if frozen:
        yield f"optimizer state of {', '.join(frozen[:_MAX_NAMED])}, unless frozen"
    keys = frozenset(key for _, key, _ in found.values())
    names = frozenset(path.rpartition("/")[2] for path in found.paths)
    formats = {layout.format for layout in found.layouts.values()}
    told_already = "pytorch-lightning_version" in found.training or _RL_FORMAT in formats
    if "pytorch-lightning_version" in found.training:
        yield "random states (Lightning stores none)"
        yield "the data loader's order (Lightning stores none)"
    elif _RL_FORMAT in formats:
        yield from _of_reinforcement(found)
    else:
        yield from _random_states(found, by_role)
    if Role.SCHEDULER not in by_role and _RL_FORMAT not in formats:
        yield "learning rate schedule, if there was one"
    if TRAINER_STATE in names:
        yield "the seed of the data order (the Trainer takes it from the new process)"
    elif any(name.startswith("random_states_") for name in names):
        yield "random numbers inside an epoch (accelerate's loader draws after they are restored)"
    elif not told_already and Role.DATA not in by_role and not any("sampler" in k for k in keys):
        yield "position in the data"
    if found.architecture is not None and found.architecture.family == "lora":
        yield "the base model, which lies elsewhere"


def _random_states(found: Findings, by_role: Mapping[Role, str]) -> Iterator[str]:
    """None, or those of some ranks only."""
    if Role.RNG not in by_role:
        yield "random states"
        return
    files = [p for p in found.paths if p.rpartition("/")[2].startswith(("rng_state", "random_st"))]
    ranks = next((v for _, key, v in found.values() if key.endswith(_PROCESSES)), None)
    if files and isinstance(ranks, int) and len(files) < ranks:
        yield f"random states of {ranks - len(files)} of {ranks} processes"


def _of_reinforcement(found: Findings) -> Iterator[str]:
    yield "random states"
    yield "states of the environments"
    if found.architecture is not None and found.architecture.family in _OFF_POLICY:
        yield "the replay buffer, which is saved apart"
