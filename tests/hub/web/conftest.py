"""A real house in a temporary folder, and a client that is a browser without JavaScript."""

import pytest

from tests.hub.web.homes import Home, open_home


@pytest.fixture
def home(tmp_path) -> Home:
    with open_home(tmp_path) as opened:
        yield opened
