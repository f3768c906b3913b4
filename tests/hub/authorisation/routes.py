"""The hub's routes as the table names them: methods and path, the three sorts of repo as one."""

import re

from fastapi import FastAPI
from fastapi.routing import iter_route_contexts

# How each room writes the part of a path that names a repo.
_REPO = re.compile(
    r"^(?P<room>/api/cairn/|/api/|/)"
    r"(?:\{kind(?::models\|datasets\|spaces)?\}/|spaces/|datasets/)?"
    r"\{namespace\}/\{name\}"
)


def route_names(app: FastAPI) -> list[str]:
    """`METHODS /path` of everything the app answers to, each once, in the order of matching."""
    found = {}
    for route in iter_route_contexts(app.routes):
        raw = route.original_route
        path = getattr(route, "path", None) or raw.template
        methods = getattr(route, "methods", None) or raw.methods
        short = _REPO.sub(lambda at: f"{at['room']}REPO", path)
        found[f"{' '.join(sorted(methods))} {short}"] = None
    return list(found)
