"""Models whose matrices are in 4 bits, as bitsandbytes keeps NF4, on tensors without values.

    codes     uint8    (elements / 2, 1)     two to a byte
    absmax    float32  (elements / 64,)      or uint8, and with it for every 256 of these a float32
    code      float32  (16,)                 the numbers that codes stand for

Layout: `quantize_4bit` in
https://github.com/bitsandbytes-foundation/bitsandbytes/blob/main/bitsandbytes/functional.py.
"""

from collections.abc import Iterator
from contextlib import AbstractContextManager
from importlib import import_module
from typing import Any

import torch
from torch import Tensor, nn

from cairn.training.exact.optimizers import bitsandbytes

_BLOCK, _OUTER_BLOCK = 64, 256
_COMPUTED_IN = {"fp32": torch.float32, "bf16": torch.bfloat16, "amp": torch.bfloat16}


def with_four_bits(model: nn.Module, plan: Any) -> nn.Module:
    """The model, on `meta`, with its linear layers replaced as transformers replaces them.

    The output layer stays. What stays is put into float32 as PEFT does before training, but where
    a plan computes in bfloat16 alone.

    Raises:
        MissingExtraError: bitsandbytes is not installed.
    """
    bitsandbytes()
    peft, transformers = import_module("peft"), import_module("transformers")
    integrations = import_module("transformers.integrations")
    quantizers = import_module("transformers.quantizers.base")
    settings = transformers.BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=plan["double_quant"],
        bnb_4bit_compute_dtype=_COMPUTED_IN[plan["precision"]],
    )
    kept = quantizers.get_keys_to_not_convert(model)
    made: Any = integrations.replace_with_bnb_linear(model, kept, quantization_config=settings)
    made.is_loaded_in_4bit = True
    if plan["precision"] == "bf16":
        return made.requires_grad_(requires_grad=False)  # type: ignore[no-any-return]
    prepared: nn.Module = peft.prepare_model_for_kbit_training(made, plan["checkpointing"])
    return prepared


def quantise(model: nn.Module, mode: AbstractContextManager[object], *, double: bool) -> None:
    """Put codes and their scales in the place of 4-bit matrices on `meta`, made under `mode`."""
    for module in four_bit_layers(model):
        with mode:
            weight, state = _codes((module.out_features, module.in_features), double=double)
        weight.quant_state = state
        module._parameters["weight"] = weight
        module.quant_state = state
        module.compute_type_is_set = True
        # What bitsandbytes looks at to lay codes out anew for a CPU, which is for inference.
        module.support_avx512bf16_for_cpu = False


def scales_of(model: nn.Module) -> Iterator[Tensor]:
    """The tensors beside the codes of every layer in 4 bits."""
    for module in four_bit_layers(model):
        for state in (module.quant_state, module.quant_state.state2):
            if state is not None:
                yield state.absmax
                yield state.code


def four_bit_layers(model: nn.Module) -> Iterator[Any]:
    """Those of bitsandbytes; PEFT calls what it puts around one by the same name."""
    return (
        one
        for one in model.modules()
        if type(one).__name__ == "Linear4bit" and type(one).__module__.startswith("bitsandbytes.")
    )


def _codes(shape: tuple[int, int], *, double: bool) -> tuple[Any, Any]:
    state_of = bitsandbytes().functional.QuantState
    elements = shape[0] * shape[1]
    blocks = -(-elements // _BLOCK)
    outer = None
    if double:
        outer = state_of(
            absmax=torch.empty(-(-blocks // _OUTER_BLOCK)),
            code=torch.empty(256),
            blocksize=_OUTER_BLOCK,
            dtype=torch.float32,
        )
    state = state_of(
        absmax=torch.empty(blocks, dtype=torch.uint8 if double else torch.float32),
        shape=torch.Size(shape),
        code=torch.empty(16),
        blocksize=_BLOCK,
        quant_type="nf4",
        dtype=torch.float32,
        offset=torch.empty(()) if double else None,
        state2=outer,
    )
    packed = torch.empty(((elements + 1) // 2, 1), dtype=torch.uint8)
    return nn.Parameter(packed, requires_grad=False), state
