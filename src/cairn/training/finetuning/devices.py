"""Where a model is trained, with which numbers, and from which random ones."""

import random
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import numpy as np
import torch

from cairn.domain.finetuning import Precision
from cairn.errors import RequestError


def device_of(asked: str) -> torch.device:
    """The device of this name; `auto` is the first of cuda, mps and cpu that is there.

    Raises:
        RequestError: there is none of this name.
    """
    if asked == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(asked)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        words = str(error).partition("\n")[0]
        raise RequestError(f"there is no device {asked!r} here: {words}") from None
    return device


def is_fast_in_bfloat16(device: torch.device) -> bool:
    """Whether it computes faster in 16 bits than in 32."""
    return device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)


def computing(device: torch.device, precision: Precision) -> AbstractContextManager[Any]:
    """What a forward pass is run in: bfloat16 if asked, or if the device computes faster in it."""
    is_auto = precision is Precision.AUTO
    if precision is Precision.BFLOAT16 or (is_auto and is_fast_in_bfloat16(device)):
        return torch.autocast(device.type, torch.bfloat16)
    return nullcontext()


def seed_everything(seed: int) -> None:
    """Python, NumPy and torch with its devices."""
    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.manual_seed(seed)


class Randomness:
    """Where the random numbers of this process stand, of Python, NumPy and torch."""

    def __init__(self) -> None:
        self._python, self._numpy = random.getstate(), np.random.get_state()
        self._torch = torch.get_rng_state()
        self._cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []
        self._mps = torch.mps.get_rng_state() if torch.backends.mps.is_available() else None

    def restore(self) -> None:
        """Go on from there."""
        random.setstate(self._python)
        np.random.set_state(self._numpy)
        torch.set_rng_state(self._torch)
        if self._cuda:
            torch.cuda.set_rng_state_all(self._cuda)
        if self._mps is not None:
            torch.mps.set_rng_state(self._mps)


@contextmanager
def undisturbed_randomness() -> Iterator[None]:
    """Random numbers after the `with` block go on as if it had drawn none."""
    before = Randomness()
    try:
        yield
    finally:
        before.restore()
