"""Runs the hub: uvicorn in front, the worker behind, until a signal comes."""

import errno
import logging
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import structlog
import uvicorn

from cairn.bootstrap import signing_secret
from cairn.config import Settings
from cairn.errors import UnavailableError
from cairn.hub.app import create_app
from cairn.hub.scan_desk import ScanDesk
from cairn.hub.wire import BufferedHttp
from cairn.hub.worker import Worker
from cairn.workflows.house import House

# A client that stalls mid-header holds a connection, not a thread; idle ones go after this.
KEEP_ALIVE_S = 75
GRACEFUL_STOP_S = 10


class _AnnouncingServer(uvicorn.Server):
    """A uvicorn server that says when its sockets accept connections."""

    def __init__(self, config: uvicorn.Config, announce: Callable[[], None]) -> None:
        super().__init__(config)
        self._announce = announce

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._announce()


def run(
    house: House, settings: Settings, listener: socket.socket, announce: Callable[[str], None]
) -> None:
    """Serve on a listening socket until SIGINT or SIGTERM.

    `announce` gets the hub's URL once it answers.
    """
    configure_logging(settings.log_level)
    bound_port = listener.getsockname()[1]
    settings = settings.model_copy(update={"port": bound_port})
    scans = ScanDesk(house)
    worker = Worker(house, settings, scans)
    app = create_app(
        house,
        settings,
        secret=signing_secret(settings),
        on_upload=worker.uploading,
        journal=worker.journal,
        lanes=worker.lanes,
        scans=scans,
    )
    config = uvicorn.Config(
        app,
        http=BufferedHttp,  # type: ignore[arg-type]  # called, never subclassed
        ws="none",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,  # the app believes those that are set as trusted
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=GRACEFUL_STOP_S,
    )
    url = settings.public_url or f"http://{_bracketed(settings.host)}:{bound_port}"
    server = _AnnouncingServer(config, lambda: announce(url))
    worker.start()
    try:
        with _signals_end_quietly():
            server.run(sockets=[listener])
    finally:
        worker.stop()
        house.catalog.close()  # downloads of the last seconds are still in memory


@contextmanager
def _signals_end_quietly() -> Iterator[None]:
    """Keep the process alive when uvicorn, having shut down, raises the signal it got again.

    By default that would end us before the worker is stopped, and with a failing status.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = {number: signal.signal(number, lambda *_: None) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def configure_logging(level: str) -> None:
    """One line per event on standard error: readable on a terminal, JSON elsewhere."""
    number = logging.getLevelNamesMapping()[level.upper()]
    renderer: structlog.types.Processor = (
        structlog.dev.ConsoleRenderer()
        if sys.stderr.isatty()
        else structlog.processors.JSONRenderer()
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    logging.basicConfig(level=max(number, logging.WARNING), stream=sys.stderr)


def listen(host: str, port: int) -> socket.socket:
    """A socket that clients can already connect to, though nobody answers yet.

    Raises:
        UnavailableError: the address cannot be listened on.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host.strip("[]"), port))
        listener.listen(1024)
    except OSError as error:
        listener.close()
        advice = "--host names another address"
        if error.errno == errno.EADDRINUSE:
            advice = "is another hub running there? --port chooses another port, 0 a free one"
        raise UnavailableError(
            f"cannot listen on {host}:{port}: {error.strerror}; {advice}"
        ) from error
    return listener


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host
