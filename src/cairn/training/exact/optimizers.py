"""The optimizer of a plan, as its library makes it: what it keeps its own code allocates."""

from importlib import import_module
from typing import Any

import torch
from torch import nn

from cairn.errors import MissingExtraError

_RATE = 1e-3


def optimizer_for(name: str, trained: list[nn.Parameter]) -> torch.optim.Optimizer:
    """Torch's AdamW or SGD, 8-bit AdamW of bitsandbytes, or Adafactor of transformers.

    Torch's go through the parameters one by one, as on a CPU; Adafactor is as `Trainer` has it.

    Raises:
        MissingExtraError: the library it comes from is not installed.
    """
    made: Any
    if name == "sgd":
        made = torch.optim.SGD(trained, lr=_RATE, momentum=0.9, foreach=False)
    elif name == "adafactor":
        from transformers import optimization

        adafactor: Any = optimization.Adafactor
        settings = {"scale_parameter": False, "relative_step": False}  # numbers alone, no values
        made = adafactor(trained, lr=_RATE, **settings)
    elif name == "adamw8bit":
        made = bitsandbytes().optim.AdamW8bit(trained, lr=_RATE)
    else:
        made = torch.optim.AdamW(trained, lr=_RATE, foreach=False)
    optimizer: torch.optim.Optimizer = made
    return optimizer


def bitsandbytes() -> Any:
    """The library.

    Raises:
        MissingExtraError: it is not installed.
    """
    try:
        return import_module("bitsandbytes")
    except ModuleNotFoundError as error:
        raise MissingExtraError(
            "exact estimates of 4-bit weights and 8-bit optimizers need bitsandbytes:"
            " pip install 'cairn-hub[qlora]'"
        ) from error
