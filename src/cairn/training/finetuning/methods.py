"""Which numbers of a model are trained: all, an adapter's, or those of its head.

LoRA: Hu et al., "LoRA: Low-Rank Adaptation of Large Language Models", ICLR 2022,
https://arxiv.org/abs/2106.09685; through peft.
"""

from collections.abc import Iterator, Sequence
from typing import Any

from torch import nn

from cairn.domain.finetuning import Method
from cairn.errors import RequestError
from cairn.training.finetuning.bases import quiet
from cairn.training.finetuning.heads import is_in
from cairn.training.finetuning.tasks.base import Task
from cairn.training.libraries import library

# Projections that are usually adapted, by `model_type`, where peft has no default of its own.
_TARGETS: dict[str, Sequence[str]] = {
    "distilbert": ("q_lin", "v_lin"),
    "mpnet": ("q", "v"),
    "resnet": ("convolution",),
    "wav2vec2": ("q_proj", "v_proj"),
    "whisper": ("q_proj", "v_proj"),
}
_ANY_LINEAR = "all-linear"
_BATCH_NORMS = nn.modules.batchnorm._BatchNorm


def prepared(task: Task, base_name: str, revision: str | None) -> nn.Module:
    """The task's model, with gradients where the method trains and nowhere else.

    `base_name` and `revision` are what an adapter says of its base.

    Raises:
        RequestError: the method has nothing to train in this model.
    """
    recipe = task.recipe
    model: nn.Module = task.model
    if recipe.gradient_checkpointing:
        _checkpoint_gradients(model)
    match recipe.method:
        case Method.FULL:
            pass
        case Method.LAST_LAYER:
            _only_heads(model, task.heads.names)
        case Method.LORA | Method.QLORA:
            model = _adapted(task, base_name, revision)
    return model


def set_training(model: nn.Module, task: Task) -> None:
    """Dropout and statistics as in training, where training is.

    What is frozen below a head stays as it is used later, its BatchNorm statistics too.
    """
    is_head_only = task.recipe.method is Method.LAST_LAYER
    model.train(not is_head_only)
    if is_head_only:
        for name in task.heads.names:
            model.get_submodule(name).train()


def _only_heads(model: nn.Module, heads: Sequence[str]) -> None:
    model.requires_grad_(requires_grad=False)
    names = model.named_parameters(remove_duplicate=False)
    body = {id(one) for name, one in names if not _is_in_any(name, heads)}
    for name in heads:
        for parameter in model.get_submodule(name).parameters():
            if id(parameter) in body:
                raise RequestError(
                    f"{name} shares its weights with the body of the model:"
                    " there is no last layer to train alone; use lora or full"
                )
            parameter.requires_grad = True
    if not heads:
        raise RequestError("this task has no head to train alone; use lora or full")


def _is_in_any(name: str, modules: Sequence[str]) -> bool:
    return any(is_in(name, module) for module in modules)


def _adapted(task: Task, base_name: str, revision: str | None) -> nn.Module:
    peft, recipe, model = library("peft"), task.recipe, task.model
    if recipe.method is Method.QLORA:
        model = peft.prepare_model_for_kbit_training(
            model, use_gradient_checkpointing=recipe.gradient_checkpointing
        )
    whole = task.heads.fresh if task.head_stays else task.heads.names
    config = peft.LoraConfig(
        r=recipe.rank,
        lora_alpha=recipe.alpha,
        lora_dropout=recipe.adapter_dropout,
        target_modules=_targets(task, peft),
        modules_to_save=[*whole, *_normalisations(model, whole)] or None,
        base_model_name_or_path=base_name,
        revision=revision,
    )
    try:
        with quiet():
            adapted: nn.Module = peft.get_peft_model(model, config)
    except ValueError as error:
        raise RequestError(f"no adapter fits: {error}") from error
    config.base_model_name_or_path = base_name  # peft puts the folder there
    return adapted


def _targets(task: Task, peft: Any) -> Any:
    """As the recipe says, else what is usual for the task or family, else all linear layers."""
    kind = getattr(task.model.config, "model_type", "")
    usual = peft.utils.constants.TRANSFORMERS_MODELS_TO_LORA_TARGET_MODULES_MAPPING
    found = task.recipe.targets or task.targets or _TARGETS.get(kind) or usual.get(kind)
    return list(found) if found else _ANY_LINEAR


def _normalisations(model: nn.Module, whole: Sequence[str]) -> Iterator[str]:
    """Every BatchNorm: its statistics move, and an adapter alone would lose them."""
    for name, module in model.named_modules():
        if isinstance(module, _BATCH_NORMS) and not _is_in_any(name, whole):
            yield name


def _checkpoint_gradients(model: Any) -> None:
    if not getattr(model, "supports_gradient_checkpointing", False):
        raise RequestError(f"{type(model).__name__} cannot checkpoint gradients")
    model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    model.config.use_cache = False
