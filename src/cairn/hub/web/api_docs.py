"""The page that lists our own endpoints, made from their OpenAPI description."""

from collections.abc import Iterator, Mapping
from typing import Any

from starlette.responses import Response
from starlette.routing import BaseRoute

from cairn.hub.routing import RawRoute
from cairn.hub.web.visit import Visit, endpoint


def _docs(visit: Visit) -> Response:
    description: Mapping[str, Any] = visit.request.app.openapi()
    operations = list(_operations(description["paths"]))
    return visit.render("api_docs.html", operations=operations, hub_url=visit.hub_url)


def _operations(paths: Mapping[str, Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    for path, methods in paths.items():
        for method, operation in methods.items():
            yield {
                "method": method.upper(),
                "path": path,
                "summary": operation.get("description") or operation.get("summary", ""),
                "parameters": [_parameter(p) for p in operation.get("parameters", [])],
            }


def _parameter(parameter: Mapping[str, Any]) -> dict[str, str]:
    schema = parameter.get("schema", {})
    bounds = [
        f"{word} {schema[key]}"
        for key, word in (("minimum", "from"), ("maximum", "to"), ("default", "default"))
        if key in schema and schema[key] != ""
    ]
    text = parameter.get("description", "")
    return {
        "name": parameter["name"],
        "place": parameter["in"],
        "text": f"{text} ({', '.join(bounds)})" if bounds else text,
    }


routes: list[BaseRoute] = [RawRoute("/api/cairn/docs", endpoint(_docs), ("GET", "HEAD"))]
