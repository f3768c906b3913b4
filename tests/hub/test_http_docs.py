"""docs/http.md names every endpoint of the HF wire and every error code."""

import re
from pathlib import Path

import pytest

from cairn.hub import errors
from cairn.hub.hf.resolve import bare_name
from cairn.hub.hf.routes import routes
from cairn.hub.routing import RawRoute

TEXT = (Path(__file__).parents[2] / "docs" / "http.md").read_text()
WIRE = [r for r in routes if isinstance(r, RawRoute) and r.endpoint is not bare_name]


@pytest.mark.parametrize("route", WIRE, ids=repr)
def test_every_endpoint_is_in_the_table(route):
    path = re.sub(r"^/(datasets|spaces)/{namespace}", "/{namespace}", route.template)
    words = [w for w in re.split(r"[/.]", re.sub(r"{.*?}", "", path)) if w]
    rows = [row for row in TEXT.splitlines() if row.startswith("|")]
    assert any(all(w in row for w in words if w != "info") for row in rows), words


@pytest.mark.parametrize("code", sorted({code for _, code in errors._ANSWERS.values()}))
def test_every_error_code_is_in_the_table(code):
    if code != "MissingExtra":  # no route of the hub needs an extra
        assert f"`{code}`" in TEXT
