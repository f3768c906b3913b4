"""The order of samples: every one once, the same everywhere, counted when the loop gets it."""

from itertools import islice
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, Dataset

from cairn.errors import RequestError
from cairn.training import EpochSampler, SampleIndex, sample_seed, seeds


class Numbers(Dataset[tuple[int, int]]):
    """Each sample is its index and its seed in this epoch."""

    def __len__(self) -> int:
        return 10

    def __getitem__(self, index: SampleIndex) -> tuple[int, int]:
        return int(index), index.seed


def loader(sampler: EpochSampler, **more: Any) -> "DataLoader[Any]":
    return DataLoader(Numbers(), batch_size=4, sampler=sampler, **more)


def rest_of_epoch(sampler: EpochSampler, **more: Any) -> list[tuple[int, int]]:
    batches = sampler.batches(loader(sampler, **more))
    return [pair for x, s in batches for pair in zip(x.tolist(), s.tolist(), strict=True)]


def test_every_sample_comes_once_in_an_epoch_and_in_another_order_in_the_next() -> None:
    sampler = EpochSampler(10, seed=1)
    first, second = (
        [index for index, _ in rest_of_epoch(sampler)],
        [index for index, _ in rest_of_epoch(sampler)],
    )
    assert sorted(first) == sorted(second) == list(range(10))
    assert first != second
    assert sampler.epoch == 2


def test_the_order_is_a_promise_that_no_release_may_break() -> None:
    assert seeds.order(10, 0, 0).tolist() == [7, 2, 8, 4, 5, 9, 3, 1, 6, 0]
    assert sample_seed(3, 1, 4) == 6799552006125979422


def test_orders_are_as_even_as_chance_makes_them() -> None:
    first = np.bincount([seeds.order(8, seed, 0)[0] for seed in range(4000)], minlength=8)
    expected = 4000 / 8
    assert ((first - expected) ** 2 / expected).sum() < 30  # chi squared, 7 degrees: p < 1e-4


def test_seeds_differ_by_seed_epoch_index_and_use() -> None:
    made = {sample_seed(s, e, i) for s in range(9) for e in range(9) for i in range(9)}
    made |= {seeds.loader_seed(s, e) for s in range(9) for e in range(9)}
    assert len(made) == 9**3 + 9**2


@pytest.mark.parametrize("workers", [0, 2])
def test_a_loop_that_stops_anywhere_gets_the_rest(workers: int) -> None:
    whole = rest_of_epoch(EpochSampler(10, seed=5))
    for stop in range(1, 4):
        sampler = EpochSampler(10, seed=5)
        taken = []
        for x, _ in islice(sampler.batches(loader(sampler, num_workers=workers)), stop):
            taken += x.tolist()
        other = EpochSampler(10, seed=0)
        other.load_state_dict(sampler.state_dict())
        assert [i for i, _ in whole] == taken + [i for i, _ in rest_of_epoch(other)]
        assert other.epoch == 1
        if workers:
            break  # starting workers takes a while


def test_workers_that_stay_know_the_epoch() -> None:
    sampler = EpochSampler(10, seed=5)
    staying = loader(sampler, num_workers=1, persistent_workers=True)
    for epoch in range(2):
        for indices, given in sampler.batches(staying):
            wanted = [sample_seed(5, epoch, index) for index in indices.tolist()]
            assert given.tolist() == wanted


def test_the_random_numbers_of_the_process_stay_where_they_are() -> None:
    before = torch.get_rng_state()
    rest_of_epoch(EpochSampler(10, seed=5))
    assert torch.equal(torch.get_rng_state(), before)


def test_a_short_last_batch_may_be_dropped() -> None:
    sampler = EpochSampler(10, seed=5)
    assert len(rest_of_epoch(sampler, drop_last=True)) == 8
    assert (sampler.epoch, sampler.position) == (1, 0)


def test_without_shuffling_the_order_is_that_of_the_data() -> None:
    sampler = EpochSampler(10, seed=5, shuffle=False)
    assert [index for index, _ in rest_of_epoch(sampler)] == list(range(10))


def test_a_loader_with_another_sampler_is_refused() -> None:
    sampler = EpochSampler(10, seed=5)
    with pytest.raises(RequestError, match="takes its samples from elsewhere"):
        next(sampler.batches(DataLoader(Numbers(), batch_size=4, shuffle=True)))
    with pytest.raises(RequestError, match="batches that nobody counts"):
        next(iter(loader(sampler)))
    with pytest.raises(RequestError, match="have no order"):
        EpochSampler(0, seed=1)
