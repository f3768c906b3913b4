"""Routes: each has a row in the table of who may use it, so that none is open by oversight."""

from pathlib import Path

from fastapi import FastAPI

from cairn.bootstrap import open_house
from cairn.config import Settings
from cairn.hub.app import create_app
from tests.hub.authorisation.routes import route_names
from tests.hub.authorisation.table import TABLE, rows


def test_every_route_has_a_row_and_every_row_a_route(tmp_path: Path) -> None:
    routes = set(route_names(hub(tmp_path)))
    named = {row.name.partition(" (")[0] for row in rows()}
    assert named - routes == set(), f"rows of routes that are no more, in {TABLE.name}"
    assert routes - named == set(), (
        f"add a row to {TABLE.name}: the route's rule, and its status of success if it is not 200;"
        " a request with a body needs an entry in asking.py beside it"
    )


def test_what_the_api_describes_is_among_the_routes(tmp_path: Path) -> None:
    app = hub(tmp_path)
    known = "\n".join(route_names(app)).replace(":path}", "}")
    described = app.openapi()["paths"]
    assert len(described) > 10
    for path in described:
        assert path.replace("{kind}/{namespace}/{name}", "REPO") in known


def hub(folder: Path) -> FastAPI:
    settings = Settings(data_dir=folder, secret="s" * 40)
    return create_app(open_house(settings), settings)
