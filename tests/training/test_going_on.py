"""What is easily forgotten goes on to the bit: schedules by counts, orders in memory, lone weights.

Each loop is trained straight through and once more from a checkpoint on.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.optim import AdamW, lr_scheduler

from cairn import training
from cairn.errors import RequestError

Parts = dict[str, Any]


def lying_by_channels(**options: Any) -> Parts:
    """Convolutions whose weights have channels last, as have the states of their optimizer."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 7, 3), nn.BatchNorm2d(7), nn.ReLU(), nn.Conv2d(7, 5, 3))
    model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return {"model": model, "optimizer": AdamW(model.parameters(), lr=0.01, **options)}


def learning_by_milestones() -> Parts:
    parts = lying_by_channels()
    schedule = lr_scheduler.MultiStepLR(parts["optimizer"], [2, 3, 3, 5])
    first = lr_scheduler.ConstantLR(parts["optimizer"], total_iters=1)
    both = lr_scheduler.SequentialLR(parts["optimizer"], [first, schedule], [1])
    return {**parts, "schedule": both}


def train(parts: Parts, batches: range) -> None:
    """Two batches to a step, the norm of their gradients bounded."""
    model, optimizer = parts["model"], parts["optimizer"]
    for number in batches:
        pictures = torch.randn(2, 3, 6, 6).to(memory_format=torch.channels_last)
        model(pictures).square().mean().backward()
        if number % 2:
            nn.utils.clip_grad_norm_(model.parameters(), 0.01)
            optimizer.step()
            optimizer.zero_grad()
            if "schedule" in parts:
                parts["schedule"].step()


@pytest.mark.parametrize("saved_at", [4, 5])
@pytest.mark.parametrize(
    "build",
    [lying_by_channels, lambda: lying_by_channels(fused=True), learning_by_milestones],
    ids=["channels last", "fused", "milestones"],
)
def test_a_resumed_loop_ends_in_the_same_bits(
    build: Callable[[], Parts], saved_at: int, tmp_path: Path
) -> None:
    straight = build()
    train(straight, range(saved_at))
    training.save(tmp_path, 2, accumulated=saved_at % 2, **straight)
    train(straight, range(saved_at, 16))
    resumed = build()
    assert training.resume(tmp_path, **resumed).is_exact
    train(resumed, range(saved_at, 16))
    rates = [parts["optimizer"].param_groups[0]["lr"] for parts in (straight, resumed)]
    assert rates[0] == rates[1]
    for name, tensor in straight["model"].state_dict().items():
        assert torch.equal(resumed["model"].state_dict()[name], tensor), name


def with_a_lone_weight() -> tuple[Parts, nn.Parameter]:
    model, temperature = nn.Linear(2, 2), nn.Parameter(torch.ones(1))
    return {"model": model, "optimizer": AdamW([*model.parameters(), temperature])}, temperature


def test_a_weight_that_is_trained_and_of_no_part_is_refused(tmp_path: Path) -> None:
    parts, temperature = with_a_lone_weight()
    with pytest.raises(RequestError, match=r"no part keeps \(unnamed.0.2, of the shape \(1,\)"):
        training.save(tmp_path, 1, **parts)
    assert not list(tmp_path.iterdir())
    training.save(
        tmp_path, 1, values={"temperature": temperature.item()}, more=Box(temperature), **parts
    )
    temperature.grad = torch.ones(1)
    with pytest.raises(RequestError, match="trains a gradient that no part keeps"):
        training.save(tmp_path, 2, accumulated=1, more=Box(temperature), **parts)
    training.save(tmp_path, 2, accumulated=1, lone=nn.ParameterList([temperature]), **parts)
    again, fresh = with_a_lone_weight()
    training.resume(tmp_path, lone=nn.ParameterList([fresh]), **again)
    assert fresh.grad is not None


class Box:
    """Gives out a copy of a weight."""

    def __init__(self, weight: nn.Parameter) -> None:
        self._weight = weight

    def state_dict(self) -> dict[str, Any]:
        return {"weight": self._weight.detach().clone()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._weight.data.copy_(state["weight"])


def test_one_element_of_a_larger_tensor_is_written(tmp_path: Path) -> None:
    kept = torch.arange(6.0).reshape(3, 2)[1:2, 0]
    assert kept.stride() == (2,)
    with training.Run(tmp_path, model=nn.Linear(1, 1)) as run:
        run.save(1, values={"kept": kept})
    back = training.resume(tmp_path, model=nn.Linear(1, 1), allow="everything")
    assert back.values["kept"].tolist() == [2.0]
