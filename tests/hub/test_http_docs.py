"""docs/http.md names every endpoint of the HF wire and every error code."""

import re
from pathlib import Path

import pytest

from cairn.hub import errors
from cairn.hub.hf.resolve import bare_name, no_endpoint
from cairn.hub.hf.routes import routes
from cairn.hub.routing import RawRoute

TEXT = (Path(__file__).parents[2] / "docs" / "http.md").read_text()
WIRE = [r for r in routes if isinstance(r, RawRoute) and r.endpoint not in (bare_name, no_endpoint)]


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


@pytest.mark.parametrize("name", ["collections", "daily_papers", "validate-yaml"])
def test_an_endpoint_that_is_not_here_is_404_and_no_repo(ann, name):
    answer = ann.get(f"/api/{name}")
    assert (answer.status_code, answer.headers["x-error-code"]) == (404, "NotFound")
    assert ann.get("/api/models").status_code == 200
