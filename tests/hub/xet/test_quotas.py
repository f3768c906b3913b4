"""Quotas and the real Xet client: the words of the refusal reach whoever uploads."""

import os
from collections.abc import Iterator

import pytest

from cairn.domain import Measure
from tests.hub.xet.conftest import XetHub


@pytest.fixture
def limited(hub: XetHub) -> Iterator[XetHub]:
    hub.house.catalog.quotas.limit("ann", Measure.LOGICAL, 1_000_000, None)
    yield hub
    hub.house.catalog.quotas.reset("ann", Measure.LOGICAL, None)


def test_a_file_that_does_not_fit_is_refused_in_words(limited: XetHub) -> None:
    data = os.urandom(600_000)
    (done,) = limited.push(data)
    assert limited.received(done.xet_info.sha256) == data
    with pytest.raises(RuntimeError, match=r"ann may keep 1,000,000 bytes and has [\d,]+; this"):
        limited.push(os.urandom(500_000))
    (again,) = limited.push(data)  # what is here costs nothing
    assert again.xet_info.sha256 == done.xet_info.sha256
