"""Which learning rate a fine-tuning has where nobody says: by method, task and size of the base.

Below 50 million parameters the rates were measured (docs/benchmarks.md); above they are those that
are published: for adapters Hu et al., 2021, https://arxiv.org/abs/2106.09685 (table 9), Dettmers
et al., 2023, https://arxiv.org/abs/2305.14314 (2e-4 to 13 billion parameters, then 1e-4), and
what PEFT's guides have for models of 100 to 500 million; for all weights Devlin et al., 2018,
https://arxiv.org/abs/1810.04805 (2e-5 to 5e-5 at 110 and 340 million).
"""

from dataclasses import dataclass

from cairn.domain.finetuning import ADAPTERS, Method, TaskName


@dataclass(frozen=True, slots=True)
class Rates:
    """The highest rates for bases of less than so many parameters."""

    below: float
    adapter: float
    full: float


RATES = (
    Rates(10**6, 1e-2, 3e-3),
    Rates(5 * 10**7, 3e-3, 1e-4),
    Rates(5 * 10**8, 1e-3, 5e-5),
    Rates(3 * 10**9, 5e-4, 2e-5),
    Rates(2 * 10**10, 2e-4, 1e-5),
    Rates(float("inf"), 1e-4, 5e-6),
)
HEAD = 1e-2
"""Of a last layer alone: nothing lies below it that large steps could spoil."""
DENOISER = 1e-4
"""The most for an adapter of Stable Diffusion, as the examples of diffusers have it."""
_TINY = RATES[0].below


def usual_learning_rate(method: Method, task: TaskName, parameters: int) -> float:
    """The highest rate; `parameters` counts those of the base."""
    if method is Method.LAST_LAYER:
        return HEAD
    rates = next(one for one in RATES if parameters < one.below)
    if method not in ADAPTERS:
        return rates.full
    is_denoiser = task is TaskName.TEXT_TO_IMAGE and parameters >= _TINY
    return min(rates.adapter, DENOISER) if is_denoiser else rates.adapter
