"""What is read through longer chains than allowed is found once in a while, firsts first."""

from pathlib import Path

import pytest

from cairn.bootstrap import open_house
from cairn.config import Settings
from cairn.domain import Blob
from cairn.store import FAST, SMALL
from cairn.workflows.house import House
from cairn.workflows.rebasing import LOOK_S, Rebasing
from cairn.workflows.remake import remake_blob
from tests.store.making import layout_of
from tests.store.test_derived import base_values, file_of, trained

STEPS = 7
LONG = SMALL.up_to(6)
SHORT = SMALL.up_to(1)  # and casts one more


@pytest.fixture
def house(tmp_path: Path) -> House:
    return open_house(Settings(data_dir=tmp_path))


@pytest.fixture
def chain(house: House) -> list[Blob]:
    """A series, each step made from the one before."""
    values, blobs = base_values(), []
    for step in range(STEPS):
        file = file_of(values)
        blobs.append(house.store.put_bytes(file))
        house.store.optimize(blobs[-1].digest, layout_of(file), profile=LONG)
        values = trained(values, step)
    assert set(house.store.take_stock().by_depth()) == set(range(STEPS))
    return blobs


def test_those_beyond_the_setting_are_named_oldest_first_until_none_is_left(
    house: House, chain: list[Blob]
) -> None:
    rebasing = Rebasing(house, SHORT, clock=lambda: 0.0)
    named = []
    while (blob := rebasing.next_blob()) is not None:
        remake_blob(house, blob.digest, SHORT)
        named.append(blob)
    assert named == chain[3:]
    assert max(house.store.take_stock().by_depth()) == 2
    assert house.store.verify().bad == ()
    assert Rebasing(house, SHORT).next_blob() is None
    assert Rebasing(house, LONG).next_blob() is None


def test_a_blob_that_stays_too_deep_is_named_again_only_after_a_while(
    house: House, chain: list[Blob]
) -> None:
    now_s = [0.0]
    rebasing = Rebasing(house, SHORT, clock=lambda: now_s[0])
    assert [rebasing.next_blob() for _ in range(5)] == [*chain[3:], None]
    now_s[0] = LOOK_S
    assert rebasing.next_blob() == chain[3]


def test_what_is_kept_fast_in_a_long_chain_is_left_so(house: House, chain: list[Blob]) -> None:
    remake_blob(house, chain[-1].digest, FAST.up_to(6))
    assert chain[-1].digest in house.store.take_stock().deeper_than(2)
    rebasing = Rebasing(house, SHORT)
    assert [rebasing.next_blob() for _ in range(4)] == [*chain[3:-1], None]
