"""The guides to pages and endpoints name what there is, no more and no less."""

import re
from pathlib import Path

from cairn.hub.web.routes import routes

DOCS = Path(__file__).parents[3] / "docs"


def _addresses(text: str) -> set[str]:
    rows = [line.split("|")[1] for line in text.splitlines() if line.startswith("| `")]
    return {address for row in rows for address in re.findall(r"`([^`]+)`", row)}


def _page_addresses() -> set[str]:
    found = set()
    for route in routes:
        template = getattr(route, "template", None) or route.path
        template = template.replace("{path:path}", "{path}")
        if template.startswith(("/datasets/", "/spaces/")):
            continue  # told in a sentence below the table
        if template == "/{kind:models|datasets|spaces}":
            found |= {"/models", "/datasets", "/spaces"}
        else:
            found.add(template)
    return found - {"/{namespace}/{name}/tree/{rev}"}  # the root of tree/{rev}/{path}


def test_the_guide_to_the_pages_names_every_page():
    assert _addresses((DOCS / "pages.md").read_text()) == _page_addresses()


def test_the_guide_to_the_api_names_every_endpoint(home):
    told = _addresses((DOCS / "api.md").read_text())
    paths = home.app.openapi()["paths"]
    described = {f"{method.upper()} {path}" for path, known in paths.items() for method in known}
    assert told == described
