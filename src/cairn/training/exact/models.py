"""The model that a configuration describes, made of fake tensors by the libraries' own classes.

Only classes that transformers and diffusers come with: code in a repo is never run.
"""

from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Any

import torch
from torch import Tensor, nn

from cairn.errors import MissingExtraError, RequestError

# What decides by drawn numbers which layers run, which shapes alone cannot follow.
_WITHOUT_CHANCE = {
    "layerdrop": 0.0,
    "encoder_layerdrop": 0.0,
    "decoder_layerdrop": 0.0,
    "mask_time_prob": 0.0,
    "mask_feature_prob": 0.0,
    "apply_spec_augment": False,
}
_DIFFUSERS = ("_class_name", "_diffusers_version")


def model_of(config: Mapping[str, Any], attention: str) -> nn.Module:
    """The model on torch's `meta` device: classes and shapes, no memory.

    `attention` is `sdpa` or `eager`.

    Raises:
        RequestError: the configuration names no class, or one that the libraries do not have.
        MissingExtraError: the library is not installed.
    """
    with torch.device("meta"):
        if _DIFFUSERS[0] in config:
            return _of_diffusers(config)
        return _of_transformers(config, attention)


def _of_transformers(config: Mapping[str, Any], attention: str) -> nn.Module:
    try:
        import transformers
    except ModuleNotFoundError as error:
        raise _missing("transformers") from error
    names = config.get("architectures")
    name = names[0] if isinstance(names, list) and names else ""
    found = getattr(transformers, str(name), None)
    if not isinstance(found, type) or not issubclass(found, transformers.PreTrainedModel):
        raise RequestError(
            f"config.json names the class {str(name)[:80]!r}, which transformers"
            f" {transformers.__version__} does not have; code of the repo itself is never run"
        )
    stated = {key: value for key, value in config.items() if key != "auto_map"}
    kind: Any = found.config_class
    known = kind(**stated)
    for key, value in _WITHOUT_CHANCE.items():
        if hasattr(known, key):
            setattr(known, key, value)
    if attention == "eager" or getattr(found, "_supports_sdpa", False):
        known._attn_implementation = attention
    made: nn.Module = found(known)
    return made


def _of_diffusers(config: Mapping[str, Any]) -> nn.Module:
    try:
        import diffusers
    except ModuleNotFoundError as error:
        raise _missing("diffusers") from error
    name = str(config["_class_name"])
    found = getattr(diffusers, name, None)
    if not isinstance(found, type) or not issubclass(found, diffusers.ModelMixin):
        raise RequestError(f"config.json names {name[:80]!r}, which is no model of diffusers")
    made: nn.Module = found.from_config(dict(config))  # type: ignore[no-untyped-call]
    return made


def with_adapter(model: nn.Module, rank: int, targets: list[str], dropout: float) -> nn.Module:
    """The model with low-rank matrices beside the modules of these names, all else frozen.

    Raises:
        MissingExtraError: peft is not installed.
        RequestError: no module is called so.
    """
    try:
        import peft
    except ModuleNotFoundError as error:
        raise _missing("peft") from error
    present = {name.rpartition(".")[2] for name, _ in model.named_modules()}
    named = [one for one in targets if one in present or "." in one]
    if not named:
        raise RequestError(f"no module of {type(model).__name__} is called {', '.join(targets)}")
    settings = peft.LoraConfig(r=rank, target_modules=named, lora_dropout=dropout)
    with torch.device("meta"):
        return peft.get_peft_model(model, settings, autocast_adapter_dtype=False)


def materialise(model: nn.Module, mode: AbstractContextManager[object]) -> None:
    """Put tensors made under `mode` in the place of those on `meta`; shared ones stay shared.

    Under a `FakeTensorMode` these are fake ones; without any they have memory and no values.
    """
    made: dict[int, Tensor] = {}

    def of(tensor: Tensor) -> Tensor:
        if id(tensor) not in made:
            with mode:
                made[id(tensor)] = torch.empty(tensor.shape, dtype=tensor.dtype, device="cpu")
        return made[id(tensor)]

    for module in model.modules():
        for name, parameter in module._parameters.items():
            if parameter is not None:
                fake = of(parameter)
                if not isinstance(fake, nn.Parameter):
                    fake = nn.Parameter(fake, requires_grad=parameter.requires_grad)
                    made[id(parameter)] = fake
                module._parameters[name] = fake
        for name, buffer in module._buffers.items():
            if buffer is not None:
                module._buffers[name] = of(buffer)


def _missing(name: str) -> MissingExtraError:
    what = name if name == "diffusers" else "'cairn-hub[train]'"
    return MissingExtraError(f"exact estimates of this model need {name}: pip install {what}")
