"""The files every page needs, served under names that change with their content.

`/static/<hash>/cairn.css` may be cached for ever: an edited file has another hash, and the
pages name the new one. Everything is read once, on first use, and kept in memory (about
30 kB).
"""

from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from importlib.resources import files

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
_FOREVER = "public, max-age=31536000, immutable"
_HASH_CHARACTERS = 12


@dataclass(frozen=True, slots=True)
class Asset:
    """One static file."""

    name: str
    content: bytes
    media_type: str

    @property
    def path(self) -> str:
        """Its URL path below the hub's base."""
        return f"/static/{sha256(self.content).hexdigest()[:_HASH_CHARACTERS]}/{self.name}"


@lru_cache(maxsize=1)
def assets() -> dict[str, Asset]:
    """Every static file by name."""
    found = {}
    for item in (files("cairn.hub.web") / "static").iterdir():
        suffix = f".{item.name.rpartition('.')[2]}"
        if suffix in _TYPES:
            found[item.name] = Asset(item.name, item.read_bytes(), _TYPES[suffix])
    return found


async def _static(request: Request) -> Response:
    asset = assets().get(request.path_params["name"])
    if asset is None:
        return Response("no such file\n", 404, media_type="text/plain")
    # A page from before an upgrade may ask with the old hash: it gets today's file, uncached.
    current = asset.path == f"/static/{request.path_params['hash']}/{asset.name}"
    return _served(asset, _FOREVER if current else "no-cache")


async def _favicon(_request: Request) -> Response:
    return _served(assets()["mark.svg"], "public, max-age=86400")


async def _robots(_request: Request) -> Response:
    return Response("User-agent: *\nDisallow: /api/\n", media_type="text/plain")


def _served(asset: Asset, cache: str) -> Response:
    headers = {"Cache-Control": cache, "X-Content-Type-Options": "nosniff"}
    return Response(asset.content, media_type=asset.media_type, headers=headers)


routes: list[BaseRoute] = [
    Route("/static/{hash}/{name}", _static),
    Route("/favicon.ico", _favicon),
    Route("/robots.txt", _robots),
]
