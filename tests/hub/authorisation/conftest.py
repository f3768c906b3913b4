"""One world for all rows: no row changes what another one looks at."""

from collections.abc import Iterator

import pytest

from tests.hub.authorisation.world import World, open_world


@pytest.fixture(scope="package")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with open_world(tmp_path_factory.mktemp("authorisation") / "data") as opened:
        yield opened
