"""The hub as one ASGI application: which rooms of routes it has and what wraps them.

`request.app.state` holds `house`, `settings`, `signer`, `oidc` (the provider, or None),
`checkpoints`, `comparisons` and `views` (made lately), `releasing` (of files), `scans` (the desk),
`on_upload` (call it while bytes arrive), `journal` (of optimizing) and `lanes` (what the worker is
at). Routes are tried in order:
Xet, the Hugging Face wire, our own API, pages. Each package gives a list `routes`;
`hub.web.routes` may also give `error_page(request, status, message)` for browsers.
"""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

from fastapi import FastAPI
from markupsafe import Markup
from starlette.middleware import Middleware
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from cairn import __version__
from cairn.catalog import LaneBeat
from cairn.config import Settings
from cairn.domain import ScanPolicy
from cairn.errors import RequestError
from cairn.hub import errors
from cairn.hub.api import routes as api
from cairn.hub.api.store import TotalsMemory
from cairn.hub.checkpoints import checkpoint_memory
from cairn.hub.comparisons import comparison_memory
from cairn.hub.hf import routes as hf
from cairn.hub.host_guard import HostGuard
from cairn.hub.memory import Memory
from cairn.hub.oidc.setup import open_oidc
from cairn.hub.rate_limits import RateLimits
from cairn.hub.rim import Rim
from cairn.hub.scan_desk import ScanDesk
from cairn.hub.signing import Signer
from cairn.hub.urls import PathPrefix
from cairn.hub.views import view_memory
from cairn.hub.web import routes as web
from cairn.hub.xet import routes as xet
from cairn.workflows.house import House
from cairn.workflows.journal import Journal
from cairn.workflows.releasing import Releasing

MAX_README_CHARACTERS = 16 << 20  # rendered cards kept in memory: a few hundred usual ones

Lifespan = Callable[[FastAPI], AbstractAsyncContextManager[None]]


def create_app(
    house: House,
    settings: Settings,
    *,
    secret: bytes | None = None,
    on_upload: Callable[[], None] = lambda: None,
    journal: Journal | None = None,
    scans: ScanDesk | None = None,
    lanes: Callable[[], list[LaneBeat]] = list,
    lifespan: Lifespan | None = None,
) -> FastAPI:
    """The hub over an opened house.

    `secret` signs URLs and tokens; without it `settings.secret` is used. `on_upload` is
    called whenever bytes arrive, so that background work can wait; it must not block. `journal`
    is that of the worker; without one nothing is optimized here. `scans` is the worker's, too, and
    `lanes` says what it is at.

    Raises:
        RequestError: neither the argument nor the setting gives a secret.
    """
    if secret is None:
        if settings.secret is None:
            raise RequestError("no signing secret: set CAIRN_SECRET to at least 32 characters")
        secret = settings.secret.encode()
    app = FastAPI(
        title="Cairn",
        version=__version__,
        description="Cairn's own endpoints. The Hugging Face wire is described in docs/http.md.",
        openapi_url="/api/cairn/openapi.json",
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        lifespan=lifespan,
        middleware=[
            Middleware(Rim, settings=settings),
            *_forwarding(settings),
            Middleware(PathPrefix, settings=settings),
            Middleware(HostGuard, settings=settings),
        ],
    )
    app.state.house = house
    app.state.settings = settings
    app.state.rate_limits = RateLimits(settings.rate_limit_window_s)
    app.state.signer = Signer(secret)
    app.state.oidc = open_oidc(settings)
    app.state.checkpoints = checkpoint_memory()
    app.state.comparisons = comparison_memory()
    app.state.views = view_memory()
    app.state.readmes = Memory[Markup](MAX_README_CHARACTERS, len)
    app.state.store_totals = TotalsMemory()
    app.state.on_upload = on_upload
    app.state.journal = journal or Journal(house.clock())
    desk = scans or ScanDesk(house)
    app.state.scans = desk
    app.state.lanes = lanes
    app.state.releasing = Releasing(house, ScanPolicy(settings.scan_policy), desk.scan)
    app.state.error_page = getattr(web, "error_page", None)
    errors.install(app)
    app.router.routes.extend([*xet.routes, *hf.routes])
    app.include_router(api.router)
    app.router.routes.extend(web.routes)
    return app


def _forwarding(settings: Settings) -> list[Middleware]:
    """What believes trusted proxies, and nobody else, about the caller's address and scheme."""
    if not settings.trusted_proxies:
        return []
    trusted = list(settings.trusted_proxies)
    return [Middleware(ProxyHeadersMiddleware, trusted_hosts=trusted)]
