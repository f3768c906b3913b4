"""One request for a page: who asks, of which hub, and how the answer is put together.

A page is a plain function from a `Visit` to a `Response`. `endpoint` finds out who the
visitor is and runs the function in a worker thread: the rooms below are synchronous.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any
from urllib.parse import urlencode, urlsplit

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape
from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from cairn import __version__
from cairn.domain import ANONYMOUS, Actor
from cairn.errors import RequestError
from cairn.hub import threads
from cairn.hub.browser_rules import PAGE_POLICY
from cairn.hub.checkpoints import CheckpointMemory
from cairn.hub.csrf import csrf_token
from cairn.hub.identity import house_of, visitor_of
from cairn.hub.memory import Memory
from cairn.hub.urls import base_url
from cairn.hub.web import svg, wording
from cairn.hub.web.assets import assets
from cairn.hub.web.glyphs import cairn_glyph, stones_for
from cairn.workflows.house import House

OVERSEER_PAGES = (
    ("/security/appeals", "Appeals"),
    ("/security/waivers", "Waivers"),
    ("/settings/recalls", "Recalls"),
)
"""What only administrators see, in the order of their menu."""

MAX_QUERY_TEXT_CHARACTERS = 200
MAX_PAGE_NUMBER = 1_000_000
MAX_NUMBER_DIGITS = 18  # what a column of 64 bits holds


@dataclass(frozen=True)
class Visit:
    """A page request together with the opened house and its caller."""

    request: Request
    house: House
    actor: Actor

    @property
    def hub_url(self) -> str:
        """Scheme, host and prefix of this hub, for snippets people copy."""
        return base_url(self.request)

    @property
    def base(self) -> str:
        """The path prefix of every link: empty unless `public_url` has a path."""
        return urlsplit(self.hub_url).path.rstrip("/")

    @property
    def memory(self) -> CheckpointMemory:
        """Checkpoints read lately."""
        memory: CheckpointMemory = self.request.app.state.checkpoints
        return memory

    @property
    def readmes(self) -> Memory[Markup]:
        """Markdown files rendered lately."""
        readmes: Memory[Markup] = self.request.app.state.readmes
        return readmes

    @property
    def now(self) -> datetime:
        """The house's clock."""
        return self.house.clock()

    @property
    def unread(self) -> int:
        """How many notifications the visitor has not read."""
        if self.actor.account is None or not self.actor.is_whole:
            return 0
        return self.house.catalog.notifications.count_unread(self.actor.name)

    def param(self, name: str) -> str:
        """A decoded path parameter, empty if the route has none of that name."""
        return str(self.request.path_params.get(name, ""))

    def text(self, name: str) -> str:
        """A query parameter, trimmed.

        Raises:
            RequestError: it is longer than anything a person would type.
        """
        value = self.request.query_params.get(name, "").strip()
        if len(value) > MAX_QUERY_TEXT_CHARACTERS:
            raise RequestError(f"{name}: at most {MAX_QUERY_TEXT_CHARACTERS} characters")
        return value

    def page_number(self) -> int:
        """The `page` query parameter, from 1.

        Raises:
            RequestError: it is not a whole number from 1 to `MAX_PAGE_NUMBER`.
        """
        given = self.request.query_params.get("page", "1")
        if not (given.isascii() and given.isdecimal() and len(given) <= 7):
            raise RequestError(f"page {given[:40]!r} is not a page number")
        number = int(given)
        if not 1 <= number <= MAX_PAGE_NUMBER:
            raise RequestError(f"page must be from 1 to {MAX_PAGE_NUMBER}")
        return number

    def with_query(self, **changes: str | int | None) -> str:
        """The query string of this page with some parameters changed; None takes one out."""
        merged: dict[str, str | int] = dict(self.request.query_params)
        for name, value in changes.items():
            merged.pop(name, None)
            if value not in (None, ""):
                merged[name] = value
        return f"?{urlencode(merged)}" if merged else "?"

    def render(self, template: str, status: int = 200, **context: Any) -> Response:
        """A page from a template, never cached by others because it depends on the visitor."""
        known = {"visit": self, "viewer": self.actor, "unread": self.unread}
        return render(self.request, template, status, **known, **context)

    def redirect(self, path: str) -> Response:
        """Send the browser to another page of ours with a GET."""
        return RedirectResponse(f"{self.base}{path}", status_code=303)


def whole_number(text: str) -> int:
    """The number of a notification, waiver or appeal.

    Raises:
        RequestError: it is none.
    """
    if not (text.isascii() and text.isdecimal() and len(text) <= MAX_NUMBER_DIGITS):
        raise RequestError(f"{text[:40]!r} is not a whole number")
    return int(text)


Page = Callable[[Visit], Response]


def endpoint(page: Page, *, long: bool = False) -> Callable[[Request], Awaitable[Response]]:
    """The Starlette endpoint for a page; `long` for one that may take seconds."""

    async def serve(request: Request) -> Response:
        actor = await visitor_of(request)
        visit = Visit(request, house_of(request), actor)
        return await (threads.call_long if long else threads.call)(page, visit)

    return serve


def render(request: Request, template: str, status_code: int = 200, **context: Any) -> Response:
    """A page from a template; needs no visit, so that errors can be shown before there is one."""
    base = urlsplit(base_url(request)).path.rstrip("/")
    known = {
        "viewer": ANONYMOUS,
        "base": base,
        "path": request.url.path,
        "version": __version__,
        "unread": 0,
        "csrf": lambda: csrf_token(request),
    }
    html = _templates().get_template(template).render({**known, **context})
    headers = {
        "Content-Security-Policy": PAGE_POLICY,
        "Cache-Control": "private, no-cache",
        "Vary": "Cookie, Authorization",
    }
    return HTMLResponse(html, status_code, headers)


@lru_cache(maxsize=1)
def _templates() -> Environment:
    environment = Environment(
        loader=PackageLoader("cairn.hub.web"),
        autoescape=select_autoescape(default=True, default_for_string=True),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    environment.filters.update(
        bytes=wording.bytes_text,
        duration=wording.duration_text,
        count=wording.count_text,
        exact=wording.exact,
        moment=wording.moment,
        shape=wording.shape_text,
        segment=wording.segment,
        path_url=wording.path_url,
        dotted=wording.dotted,
        breakable=wording.breakable,
        coded=wording.coded,
    )
    environment.globals.update(
        asset=lambda name: assets()[name].path,
        age=wording.age_text,
        overseer_pages=OVERSEER_PAGES,
        plural=wording.plural,
        saving=wording.saving_text,
        share_bar=svg.share_bar,
        glyph=lambda identity, size: cairn_glyph(identity, stones_for(size)),
    )
    return environment
