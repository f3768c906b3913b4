"""Two steps of training on fake tensors: the first makes the optimizer's state, one counts."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.nn import functional
from torch.utils.flop_counter import FlopCounterMode

from cairn.errors import RequestError
from cairn.training.exact.batches import batch_for, loss_of
from cairn.training.exact.four_bits import quantise, scales_of, with_four_bits
from cairn.training.exact.live_storages import Kind, LiveStorages
from cairn.training.exact.models import materialise, model_of, with_adapter
from cairn.training.exact.optimizers import optimizer_for

_STEPS = 2


def run_plan(config: Mapping[str, Any], plan: Mapping[str, Any]) -> dict[str, Any]:
    """Bytes at the fullest moment by part, operations of a step, parameters.

    `plan` is as `describe_plan` writes one, with `targets` filled in and `on_cpu`.

    Raises:
        RequestError: the plan or the model is one that this cannot run.
    """
    if not plan["on_cpu"]:
        _drop_as_on_cuda()
    model = model_of(config, "eager" if plan["attention"] == "eager" else "sdpa")
    parameters = sum(p.numel() for p in model.parameters())
    model = to_train(model, plan)
    mode = FakeTensorMode(allow_non_fake_inputs=True)
    materialise(model, mode)
    quantise(model, mode, double=plan["double_quant"])
    model.train()
    trained = [p for p in model.parameters() if p.requires_grad]
    if not trained:
        raise RequestError(f"nothing of {type(model).__name__} would be trained")
    optimizer = optimizer_for(plan["optimizer"], trained)  # whose tables have values
    with mode:
        found = _count(model, trained, optimizer, plan)
    found["parameters"] = parameters
    found["trained"] = sum(p.numel() for p in trained)
    return found


def to_train(model: nn.Module, plan: Mapping[str, Any]) -> nn.Module:
    """The model, still on `meta`, with what a plan trains of it and in the plan's numbers."""
    method = plan["method"]
    if plan["checkpointing"]:
        _checkpoint(model, adapts=method in ("lora", "qlora"))
    if method == "qlora":
        model = with_four_bits(model, plan)
    elif method == "lora" and plan["precision"] == "amp":
        model.to(torch.bfloat16)
    if method in ("lora", "qlora"):
        model = with_adapter(model, plan["rank"], plan["targets"], plan["adapter_dropout"])
    elif method == "last-layer":
        head = list(model.children())[-1]
        model.requires_grad_(requires_grad=False)
        head.requires_grad_(requires_grad=True)
    if plan["precision"] == "bf16":
        model.to(torch.bfloat16)
    return model


def _checkpoint(model: nn.Module, *, adapts: bool) -> None:
    enable: Any = getattr(model, "gradient_checkpointing_enable", None) or getattr(
        model, "enable_gradient_checkpointing", None
    )
    if enable is None:
        raise RequestError(f"{type(model).__name__} knows no checkpointing")
    enable()
    ask: Any = getattr(model, "enable_input_require_grads", None)
    if adapts and ask is not None:
        ask()


def _count(
    model: nn.Module,
    trained: list[nn.Parameter],
    optimizer: torch.optim.Optimizer,
    plan: Mapping[str, Any],
) -> dict[str, Any]:
    words = getattr(model.config, "vocab_size", 0)
    base = getattr(model, "get_base_model", lambda: model)()
    live = LiveStorages(lambda shape: len(shape) > 1 and shape[-1] == words)

    def gathered(parameter: Tensor) -> None:
        if parameter.grad is not None:
            live.mark([parameter.grad], Kind.GRADIENTS)

    for parameter in trained:
        parameter.register_post_accumulate_grad_hook(gathered)  # type: ignore[no-untyped-call]
    flops = 0
    with live:
        live.mark((*model.parameters(), *model.buffers(), *scales_of(model)), Kind.WEIGHTS)
        for step in range(_STEPS):
            live.start_peak()
            counter = FlopCounterMode(display=False, custom_mapping=_ATTENTION)
            with counter:
                _batches(model, base, plan, live)
            flops = counter.get_total_flops()
            live.kind = Kind.WORKSPACE
            optimizer.step()
            states = (v for s in optimizer.state.values() for v in s.values())
            live.mark((v for v in states if isinstance(v, Tensor)), Kind.OPTIMIZER)
            if step + 1 < _STEPS:
                optimizer.zero_grad()
    parts = {kind.value: live.at_peak.get(kind, 0) for kind in Kind}
    return {"peak_bytes": live.peak_bytes, "parts": parts, "flops_per_step": flops}


def _batches(
    model: nn.Module, base: nn.Module, plan: Mapping[str, Any], live: LiveStorages
) -> None:
    """As many batches as go to a step of the optimizer."""
    for _ in range(plan["accumulation"]):
        live.kind = Kind.ACTIVATIONS
        batch = batch_for(base, plan)
        if plan["precision"] == "bf16":
            batch = {k: v.bfloat16() if v.is_floating_point() else v for k, v in batch.items()}
        with torch.autocast("cpu", torch.bfloat16, enabled=plan["precision"] == "amp"):
            loss = loss_of(model, batch)
        live.kind = Kind.WORKSPACE
        loss.backward()  # type: ignore[no-untyped-call]


def _drop_as_on_cuda() -> None:
    """Have dropout keep a Boolean mask, and attention none, as their CUDA kernels do.

    This process runs one estimate and ends, so nothing else sees the change.
    """
    attention = functional.scaled_dot_product_attention

    def dropout(
        input: Tensor,  # noqa: A002 - the name in torch
        p: float = 0.5,
        training: bool = True,  # noqa: FBT001, FBT002 - torch's signature
        inplace: bool = False,  # noqa: ARG001, FBT001, FBT002
    ) -> Tensor:
        if not training or not p:
            return input
        kept: Tensor = torch.native_dropout(input, p, train=True)[0]
        return kept

    def fused(*args: Any, dropout_p: float = 0.0, **rest: Any) -> Tensor:
        del dropout_p
        return attention(*args, **rest)

    functional.dropout = dropout
    functional.scaled_dot_product_attention = fused


def _forward_flops(query: Any, key: Any, value: Any, *_: Any, **__: Any) -> int:
    """Of both products of attention; `query` is (batch, heads, rows, width)."""
    batch, heads, rows, width = query
    return int(2 * batch * heads * rows * key[-2] * (width + value[-1]))


def _backward_flops(_: Any, query: Any, key: Any, value: Any, *__: Any, **___: Any) -> int:
    """Twice the forward pass: what the kernel computes again is not work of the model."""
    return 2 * _forward_flops(query, key, value)


_ATTENTION = {
    torch.ops.aten._scaled_dot_product_flash_attention_for_cpu: _forward_flops,
    torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward: _backward_flops,
}
