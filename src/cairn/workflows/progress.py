"""How far training had come and how it was set up, by what files of a checkpoint say."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from cairn.domain import Fact, Scalar, Source
from cairn.formats.limits import MAX_TRAINER_STATE_BYTES
from cairn.workflows.companions import object_of, scalars_of
from cairn.workflows.settings_files import nemo_settings, run_arguments

# Keys at the top of what training scripts, Lightning, Stable-Baselines3 and DeepSpeed save.
_PROGRESS_KEYS = (
    *("epoch", "global_step", "step", "iteration", "max_steps", "num_train_epochs"),
    *("best_metric", "best_model_checkpoint", "best_global_step", "loss", "best_loss"),
    *("total_flos", "train_batch_size", "pytorch-lightning_version", "num_timesteps"),
    *("global_steps", "global_samples", "iter_num", "best_val_loss", "learning_rate", "lr"),
)
POSITION_KEYS = (
    *("global_step", "epoch", "step", "iteration", "global_steps", "iter_num"),
    *("num_timesteps",),
)
"""Any of these tells where training stood."""

# How the Trainer's arguments name what people want to know of a run.
_ARGUMENTS = (
    *("learning_rate", "per_device_train_batch_size", "gradient_accumulation_steps", "seed"),
    *("data_seed", "weight_decay", "warmup_steps", "lr_scheduler_type", "optim", "fp16", "bf16"),
    *("max_grad_norm", "label_smoothing_factor"),
)
_HYPER_PARAMETERS = ("hyper_parameters.", "hparams.")
_MAX_HYPER_PARAMETERS = 50
_LEARNING_RATE = "param_groups.0.lr"
_TRAINING_ARGUMENTS = "training_args.bin"
_RUN_ARGUMENTS = "train_args."  # Ultralytics
_NEMO_SUFFIX = ".nemo"


def trainer_progress(source: Source) -> dict[str, Fact]:
    """How far a Trainer had come, with the last loss and learning rate it logged.

    Raises:
        UntrustedDataError: the file is too large or not a JSON object.
    """
    state = object_of(source, MAX_TRAINER_STATE_BYTES)
    file = source.name
    found = {
        key: Fact(value, f"{file}: {key}")
        for key, value in scalars_of(state).items()
        if key in _PROGRESS_KEYS and value is not None
    }
    history = state.get("log_history")
    if isinstance(history, list):
        for key in ("loss", "learning_rate", "eval_loss"):
            value = _last(history, key)
            if value is not None:
                found.setdefault(key, Fact(value, f"{file}: log_history"))
    return found


def _last(history: list[Any], key: str) -> Scalar:
    for entry in reversed(history):
        if isinstance(entry, dict) and key in entry:
            return scalars_of({key: entry[key]}).get(key)
    return None


def progress_in(values: Iterable[tuple[str, Mapping[str, Scalar]]]) -> dict[str, Fact]:
    """How far training had come, and how it was set up, by the values beside the tensors."""
    found: dict[str, Fact] = {}
    settings: dict[str, Fact] = {}
    rates: list[Fact] = []
    for path, said in values:
        if path.rpartition("/")[2] == _TRAINING_ARGUMENTS:
            settings |= {
                f"args.{key}": Fact(said[key], f"{path}: {key}")
                for key in _ARGUMENTS
                if key in said
            }
            continue
        for key in _PROGRESS_KEYS:
            if key in said:
                found.setdefault(key, Fact(said[key], f"{path}: {key}"))
        for key, fact in _settings(path, said):
            if len(settings) < _MAX_HYPER_PARAMETERS:
                settings.setdefault(key, fact)
        rates += [
            Fact(v, f"{path}: {key}") for key, v in said.items() if key.endswith(_LEARNING_RATE)
        ]
    if rates:
        found.setdefault("learning_rate", rates[0])
    return {**found, **settings}


def _settings(path: str, said: Mapping[str, Scalar]) -> Iterator[tuple[str, Fact]]:
    """The settings of a run that a file of weights carries."""
    for key, value in said.items():
        if key.startswith(_HYPER_PARAMETERS):
            yield key, Fact(value, f"{path}: {key}")
    arguments = [key for key in said if key.startswith(_RUN_ARGUMENTS)]
    yield from run_arguments(path, {k.removeprefix(_RUN_ARGUMENTS): said[k] for k in arguments})
    if path.endswith(_NEMO_SUFFIX):
        yield from nemo_settings(path, said)
