"""What a tensor is for, judged by where it stands in the tree of its file.

Evidence: the keys torch optimizers, Lightning, the Hugging Face Trainer, DeepSpeed and
common training scripts write (Lightning: `dump_checkpoint`; Trainer: `_save_rng_state`).
"""

from collections.abc import Iterable, Sequence

from cairn.domain import Role

_BY_KEY: dict[str, Role] = {
    **dict.fromkeys(
        ("state_dict", "model", "module", "model_state_dict", "model_state", "net", "network"),
        Role.WEIGHTS,
    ),
    **dict.fromkeys(("ema", "ema_state_dict", "weights", "params", "generator"), Role.WEIGHTS),
    **dict.fromkeys(
        (
            "optimizer",
            "optimizers",
            "optimizer_state",
            "optimizer_states",
            "optimizer_state_dict",
            "optim",
            "optim_state",
            "optim_state_dict",
            "opt_state",
            "fp32_flat_groups",
            "single_partition_of_fp32_groups",
        ),
        Role.OPTIMIZER,
    ),
    **dict.fromkeys(
        (
            "scheduler",
            "schedulers",
            "lr_scheduler",
            "lr_schedulers",
            "scheduler_state",
            "scheduler_state_dict",
            "lr_scheduler_state_dict",
        ),
        Role.SCHEDULER,
    ),
    **dict.fromkeys(
        (
            "rng",
            "rng_state",
            "rng_states",
            "torch_rng_state",
            "cuda_rng_state",
            "cuda_rng_states",
            "cuda_rng_state_all",
            "torch_cuda_manual_seed",
            "np_rng_state",
            "numpy_rng_state",
            "random_rng_state",
            "python_rng_state",
            "rng_tracker_states",
        ),
        Role.RNG,
    ),
    **dict.fromkeys(
        ("hyper_parameters", "hparams", "callbacks", "loops", "args", "config", "metrics"),
        Role.METADATA,
    ),
    **dict.fromkeys(
        ("epoch", "step", "global_step", "iteration", "loss", "best_loss", "best_metric"),
        Role.METADATA,
    ),
}

# What optimizers in torch.optim keep per parameter, beside `step`.
_OPTIMIZER_LEAVES = frozenset(
    (
        "exp_avg",
        "exp_avg_sq",
        "exp_inf",
        "max_exp_avg_sq",
        "momentum_buffer",
        "square_avg",
        "grad_avg",
        "acc_delta",
        "sum_of_squares",
    )
)

_RNG_FILES = ("rng_state", "random_states")
_OPTIMIZER_KEYS = frozenset(("state", "param_groups"))
_SCHEDULER_KEYS = frozenset(("last_epoch", "_step_count"))
_RNG_KEYS = frozenset(("python", "numpy", "cpu"))


def role_of_key(key: str) -> Role | None:
    """The role a container's key gives to all below it, or None if it says nothing."""
    role = _BY_KEY.get(key)
    if role is None and key.endswith("rng_state"):
        return Role.RNG
    return role


def role_of_members(keys: Iterable[str], *, top: bool) -> Role | None:
    """The role of a dictionary judged by the set of its keys, or None.

    `top`: it is the outermost one, where `python`, `numpy`, `cpu` together mean the Hugging
    Face Trainer's random states.
    """
    present = frozenset(keys)
    if present >= _OPTIMIZER_KEYS:
        return Role.OPTIMIZER
    if present >= _SCHEDULER_KEYS:
        return Role.SCHEDULER
    if top and present >= _RNG_KEYS:
        return Role.RNG
    return None


def role_of_file(path: str) -> Role | None:
    """The role a file's own name gives to everything in it, or None."""
    name = path.replace("\\", "/").rpartition("/")[2].lower()
    return Role.RNG if name.startswith(_RNG_FILES) else None


def role_of_flat_name(name: str) -> Role:
    """The role of a tensor in a file without nesting, from its dotted name alone."""
    parts = name.split(".")
    if parts[-1] in _OPTIMIZER_LEAVES:
        return Role.OPTIMIZER
    if len(parts) > 1 or parts[0].endswith("rng_state"):
        first = role_of_key(parts[0])
        if first in (Role.OPTIMIZER, Role.RNG):
            return first
    return Role.WEIGHTS


def role_of_leaf(keys: Sequence[str], inherited: Role | None) -> Role:
    """The role of a tensor below keys none of which decided (`inherited` is None), or that did."""
    if inherited is not None:
        return inherited
    if keys and keys[-1] in _OPTIMIZER_LEAVES:
        return Role.OPTIMIZER
    return Role.WEIGHTS
