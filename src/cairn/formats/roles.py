"""What a tensor or a container is for, judged by where it stands in the tree of its file.

Evidence: the keys that torch optimizers, schedulers and `GradScaler`, torchdata, Lightning
(`dump_checkpoint`), accelerate (`save_accelerator_state`), the Hugging Face Trainer
(`_save_rng_state`), diffusers' `EMAModel`, timm, DeepSpeed and common training scripts write.
"""

from collections.abc import Iterable

from cairn.domain import Role

_KEYS: dict[Role, tuple[str, ...]] = {
    Role.WEIGHTS: (
        *("state_dict", "model", "module", "model_state_dict", "model_state", "net", "network"),
        *("weights", "params", "generator"),
    ),
    Role.EMA: (
        *("ema", "ema_state_dict", "model_ema", "ema_model", "state_dict_ema", "ema_state"),
        *("ema_weights", "ema_params", "params_ema", "model_ema_state_dict", "shadow_params"),
    ),
    Role.OPTIMIZER: (
        *("optimizer", "optimizers", "optimizer_state", "optimizer_states"),
        *("optimizer_state_dict", "optim", "optim_state", "optim_state_dict", "opt_state"),
        *("fp32_flat_groups", "single_partition_of_fp32_groups"),
    ),
    Role.SCHEDULER: (
        *("scheduler", "schedulers", "lr_scheduler", "lr_schedulers", "scheduler_state"),
        *("scheduler_state_dict", "lr_scheduler_state_dict"),
    ),
    Role.SCALER: (
        *("scaler", "grad_scaler", "gradscaler", "amp_scaler", "scaler_state"),
        *("scaler_state_dict", "amp_scaler_state_dict"),
    ),
    Role.RNG: (
        *("rng", "rng_state", "rng_states", "torch_rng_state", "cuda_rng_state"),
        *("cuda_rng_states", "cuda_rng_state_all", "torch_cuda_manual_seed", "np_rng_state"),
        *("numpy_rng_state", "random_rng_state", "python_rng_state", "rng_tracker_states"),
    ),
    Role.DATA: (
        *("dataloader", "dataloaders", "dataloader_state_dict", "dataloader_state"),
        *("train_dataloader", "data_loader", "combined_loader", "sampler", "samplers"),
        *("sampler_state_dict", "_index_sampler_state", "_sampler_iter_state", "dataset_state"),
    ),
    Role.METADATA: (
        *("hyper_parameters", "hparams", "callbacks", "loops", "args", "config", "metrics"),
        *("train_args", "epoch", "step", "global_step", "iteration", "loss", "best_loss"),
        "best_metric",
    ),
}
_BY_KEY = {key: role for role, keys in _KEYS.items() for key in keys}

# What says by its keys together what a dictionary is.
_BY_MEMBERS: tuple[tuple[frozenset[str], Role], ...] = (
    (frozenset(("state", "param_groups")), Role.OPTIMIZER),
    (frozenset(("last_epoch", "_step_count")), Role.SCHEDULER),
    (frozenset(("last_epoch", "num_bad_epochs", "cooldown_counter")), Role.SCHEDULER),
    (frozenset(("scale", "growth_factor", "backoff_factor", "growth_interval")), Role.SCALER),
    (frozenset(("_iterator_finished", "_num_yielded")), Role.DATA),
    (frozenset(("_iterator_finished", "_snapshot")), Role.DATA),
    (frozenset(("random_state", "numpy_random_seed", "torch_manual_seed")), Role.RNG),
)
# The Hugging Face Trainer's random states, but only as a whole file: the keys are common words.
_RNG_KEYS = frozenset(("python", "numpy", "cpu"))

# Under these keys of Lightning anything may stand: what is below decides by itself.
_OPEN = ("callbacks", "loops")
_FOUND_BELOW_OPEN = (Role.DATA, Role.RNG, Role.EMA, Role.SCALER)

# What optimizers in torch.optim keep per parameter, beside `step`.
_OPTIMIZER_LEAVES = frozenset(
    (
        *("exp_avg", "exp_avg_sq", "exp_inf", "max_exp_avg_sq", "momentum_buffer"),
        *("square_avg", "grad_avg", "acc_delta", "sum_of_squares"),
    )
)

# Buffers by their last name: normalisation (torch), rotary embeddings, position and token ids,
# masks and relative positions (transformers, timm), biases that are set and not learned
# (transformers: BART, DeepSeek-V3), anchors (ultralytics), quantisation (torch.ao).
_BUFFER_LEAVES = frozenset(
    (
        *("running_mean", "running_var", "num_batches_tracked"),
        *("inv_freq", "original_inv_freq", "cos_cached", "sin_cached", "freqs_cis"),
        *("position_ids", "token_type_ids", "relative_position_index", "causal_mask"),
        *("attn_mask", "masked_bias", "anchors", "anchor_grid"),
        *("final_logits_bias", "e_score_correction_bias"),
        *("fake_quant_enabled", "observer_enabled", "min_val", "max_val"),
    )
)

# Fixed sines of diffusers' `PatchEmbed`; elsewhere a `pos_embed` by itself is learned.
_FIXED_POSITIONS = "pos_embed.pos_embed"

# How files are called whose content does not always say what it is.
_BY_FILE: tuple[tuple[str, tuple[str, ...], Role], ...] = (
    ("rng_state", ("", ".pth", ".pt"), Role.RNG),
    ("random_states", (".pkl",), Role.RNG),
    ("scaler", (".pt", ".bin"), Role.SCALER),
    ("sampler", (".bin",), Role.DATA),
    ("dl_state_dict", (".bin",), Role.DATA),
    ("scheduler", (".pt", ".bin"), Role.SCHEDULER),
    ("optimizer", (".pt", ".bin"), Role.OPTIMIZER),
    ("training_args", (".bin",), Role.METADATA),
)


def role_of_key(key: str) -> Role | None:
    """The role a container's key gives to all below it, or None if it says nothing."""
    role = _BY_KEY.get(key)
    if role is None and key.endswith("rng_state"):
        return Role.RNG
    return role


def role_of_entry(prefix: str, key: str, inherited: Role | None) -> Role | None:
    """The role of what stands under `key` in the container called `prefix`, or None."""
    if inherited is None:
        return role_of_key(key)
    if inherited is Role.METADATA and _is_open(prefix):
        found = role_of_key(key)
        return found if found in _FOUND_BELOW_OPEN else inherited
    return inherited


def role_of_members(keys: Iterable[str], inherited: Role | None, *, top: bool) -> Role | None:
    """The role of a dictionary judged by the set of its keys; what it inherits goes before.

    `top`: it is the outermost one, where `python`, `numpy`, `cpu` together mean the Hugging
    Face Trainer's random states.
    """
    if inherited not in (None, Role.METADATA):
        return inherited
    present = frozenset(keys)
    for members, role in _BY_MEMBERS:
        if present >= members:
            return role
    if top and present >= _RNG_KEYS:
        return Role.RNG
    return inherited


def role_of_file(path: str) -> Role | None:
    """The role a file's own name gives to everything in it, or None."""
    name = path.replace("\\", "/").rpartition("/")[2].lower()
    for start, endings, role in _BY_FILE:
        if name.startswith(start) and name.endswith(endings):
            stem = name.removeprefix(start).partition(".")[0]
            if not stem.strip("_0123456789"):
                return role
    return None


def role_of_flat_name(name: str, shape: tuple[int, ...] = ()) -> Role:
    """The role of a tensor in a file without nesting, from its dotted name and shape alone."""
    parts = name.split(".")
    if parts[-1] in _OPTIMIZER_LEAVES:
        return Role.OPTIMIZER
    if len(parts) > 1 or parts[0].endswith("rng_state"):
        first = role_of_key(parts[0])
        if first in (Role.OPTIMIZER, Role.RNG, Role.EMA):
            return first
    return Role.BUFFERS if _is_buffer(name, shape) else Role.WEIGHTS


def role_of_keys(keys: Iterable[str]) -> Role | None:
    """The role that the outermost of a tensor's keys which says anything gives it, or None."""
    return next((role for role in map(role_of_key, keys) if role is not None), None)


def role_of_leaf(key: str, inherited: Role | None, shape: tuple[int, ...]) -> Role:
    """The role of the tensor under `key`, which may be dotted; `inherited` is its container's."""
    if inherited not in (None, Role.WEIGHTS):
        return inherited
    first, _, _ = key.partition(".")
    last = key.rpartition(".")[2]
    if inherited is None and last in _OPTIMIZER_LEAVES:
        return Role.OPTIMIZER
    if first != key and role_of_key(first) is Role.EMA:
        return Role.EMA
    return Role.BUFFERS if _is_buffer(key, shape) else Role.WEIGHTS


def _is_buffer(name: str, shape: tuple[int, ...]) -> bool:
    """By its name; GPT-2 calls its triangular mask of shape (1, 1, n, n) a `bias`."""
    leaf = name.rpartition(".")[2]
    if name == _FIXED_POSITIONS or name.endswith(f".{_FIXED_POSITIONS}"):
        return True
    if leaf == "bias":
        return len(shape) == 4 and shape[:2] == (1, 1) and shape[2] == shape[3]
    return leaf in _BUFFER_LEAVES


def _is_open(prefix: str) -> bool:
    return prefix.partition(".")[0] in _OPEN
