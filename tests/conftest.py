"""What holds for every test."""

import pytest
from hypothesis import settings

from tests.migrated import use_copies

# How long one example takes says more about the machine than about the code.
settings.register_profile("cairn", deadline=None)
settings.load_profile("cairn")


@pytest.fixture(scope="session", autouse=True)
def _catalogs_are_copied() -> None:
    use_copies()
