"""Repair from another hub: the right bytes come, the token goes nowhere else, lies are dropped."""

import hashlib
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from cairn.catalog import Location
from cairn.domain import Digest, RepoId, RepoType
from cairn.errors import NotFoundError, RequestError, UnavailableError
from cairn.hub.mirror import MAX_REDIRECTS, Mirror
from cairn.workflows.damage import Damage
from cairn.workflows.house import House
from cairn.workflows.repair import Repaired, repair, suspects_of
from tests.hub.conftest import Hub, LiveHub, Repo

TOKEN = "hf_secret"
FILE = bytes(range(256)) * 8_000
DIGEST = Digest.sha256(hashlib.sha256(FILE).hexdigest())
PLACE = Location(RepoId(RepoType.DATASET, "ann", "poems"), "c" * 40, "a b/ü.bin")
DAMAGE = Damage(DIGEST, "lost", (PLACE,), size_bytes=len(FILE))
AT_COMMIT = f"/datasets/ann/poems/resolve/{'c' * 40}/a%20b/%C3%BC.bin"
AT_MAIN = "/datasets/ann/poems/resolve/main/a%20b/%C3%BC.bin"


class Handler(BaseHTTPRequestHandler):
    """Answers as the test says, and notes what it was asked."""

    protocol_version = "HTTP/1.1"
    server: "Fake"

    def do_GET(self) -> None:
        self.server.asked.append((self.path, self.headers["Authorization"], self.headers["Range"]))
        self.close_connection = True
        self.server.answer(self)

    def send(
        self, status: int, body: bytes = b"", length: int | None = None, **headers: str
    ) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@dataclass
class Fake(ThreadingHTTPServer):
    """A mirror that a test makes misbehave."""

    answer: Callable[[Handler], None]
    asked: list[tuple[str, str | None, str | None]] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


@pytest.fixture
def fake() -> Iterator[Callable[[Callable[[Handler], None]], Fake]]:
    running: list[Fake] = []

    def start(answer: Callable[[Handler], None]) -> Fake:
        running.append(Fake(answer))
        return running[-1]

    yield start
    for server in running:
        server.shutdown()
        server.server_close()


def first_copy(mirror: Mirror) -> bytes:
    return b"".join(next(mirror.copies(DAMAGE)))


def mirror_of(server: Fake, token: str | None = TOKEN) -> Mirror:
    return Mirror(server.url, token, pause_s=0.001)


def test_a_token_follows_redirects_on_its_host_and_no_further(fake) -> None:
    store = fake(lambda request: request.send(200, FILE))

    def home(request: Handler) -> None:
        elsewhere = request.path == "/moved"
        request.send(302, Location=f"{store.url}/cdn?signature=1" if elsewhere else "/moved")

    hub = fake(home)
    assert first_copy(mirror_of(hub)) == FILE
    bearer = f"Bearer {TOKEN}"
    assert hub.asked == [(AT_COMMIT, bearer, None), ("/moved", bearer, None)]
    assert store.asked == [("/cdn?signature=1", None, None)]


def test_a_broken_connection_is_taken_up_where_it_broke(fake) -> None:
    def answer(request: Handler) -> None:
        wanted = request.headers["Range"]
        start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted else 0
        rest = FILE[start:]
        request.send(206 if wanted else 200, rest[:900_000], length=len(rest))

    hub = fake(answer)
    assert first_copy(mirror_of(hub)) == FILE
    assert [wanted for _, _, wanted in hub.asked] == [None, "bytes=900000-", "bytes=1800000-"]


def test_a_hub_that_fails_each_time_is_given_up(fake) -> None:
    hub = fake(lambda request: request.send(503))
    with pytest.raises(UnavailableError, match="503"):
        first_copy(mirror_of(hub))
    assert len(hub.asked) == 4


def _other_length(request: Handler) -> None:
    request.send(200, FILE[:-1])


def _other_digest(request: Handler) -> None:
    request.send(200, FILE, X_Linked_Etag=f'"{"0" * 64}"')


def _redirects_for_ever(request: Handler) -> None:
    request.send(302, Location=request.path)


def _redirects_into_files(request: Handler) -> None:
    request.send(302, Location="file:///etc/passwd")


def _does_not_know_it(request: Handler) -> None:
    request.send(404)


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (_other_length, f"a file of {len(FILE) - 1} bytes is there"),
        (_other_digest, "another file is there"),
        (_redirects_for_ever, f"more than {MAX_REDIRECTS} redirects"),
        (_does_not_know_it, "404"),
    ],
)
def test_what_is_not_the_file_is_not_downloaded(fake, answer, why: str) -> None:
    with pytest.raises(NotFoundError, match=why):
        first_copy(mirror_of(fake(answer)))


def test_a_redirect_to_anything_but_http_is_not_followed(fake) -> None:
    with pytest.raises(UnavailableError, match="unknown url type"):
        first_copy(mirror_of(fake(_redirects_into_files)))


def test_signatures_of_addresses_are_not_shown(fake) -> None:
    hub = fake(
        lambda r: r.send(302, Location="/x?signature=1") if "x" not in r.path else r.send(404)
    )
    with pytest.raises(NotFoundError) as caught:
        first_copy(mirror_of(hub))
    assert "/x" in str(caught.value)
    assert "signature" not in str(caught.value)


def test_the_main_branch_is_asked_where_the_commit_is_unknown(fake) -> None:
    hub = fake(lambda r: r.send(200, FILE) if r.path == AT_MAIN else r.send(404))
    one, other = mirror_of(hub, None).copies(DAMAGE)
    with pytest.raises(NotFoundError):
        next(one)
    assert b"".join(other) == FILE
    assert hub.asked == [(AT_COMMIT, None, None), (AT_MAIN, None, None)]


@pytest.mark.parametrize(
    "address",
    ["ftp://hub", "https://", "http://hub:port", "https://hub?x=1", "https://ann:word@hub"],
)
def test_what_is_no_address_of_a_hub_is_refused(address: str) -> None:
    with pytest.raises(RequestError, match="address"):
        Mirror(address)


def lose(hub: Hub, content: bytes) -> None:
    digest = hashlib.sha256(content).hexdigest()
    next((hub.settings.store_dir / "raw").rglob(digest)).unlink()


def _repaired(house: House, mirror: Mirror) -> Repaired:
    return repair(house, suspects_of(house), [mirror], lambda _: None)


def test_lost_files_come_back_from_a_hub_that_has_the_same_repo(hub: Hub, live: LiveHub) -> None:
    small, large = b"small\n" * 100, FILE
    for client in (hub.client("ann"), live.hub.client("ann")):
        repo = Repo(client, "ann/mirrored").create(private=True)
        repo.put("small.txt", small)
        assert repo.commit(repo.large("model.bin", repo.put_large(large))).status_code == 200
    for content in (small, large):
        lose(hub, content)

    lost = _repaired(hub.house, Mirror(live.url)).lost
    assert {damage.locations[0].path for damage in lost} == {"small.txt", "model.bin"}
    assert all("40" in damage.tried[0] for damage in lost)  # 401 or 404: a private repo

    done = _repaired(hub.house, Mirror(live.url, live.hub.tokens["ann"]))
    assert (len(done.healed), done.lost) == (2, ())
    for content in (small, large):
        digest = Digest.sha256(hashlib.sha256(content).hexdigest())
        assert hub.house.store.read_bytes(digest, 1 << 30) == content


def test_other_bytes_of_the_right_length_are_dropped(hub: Hub, fake) -> None:
    repo = Repo(hub.client("ann")).create()
    repo.put("small.txt", b"right")
    lose(hub, b"right")
    done = _repaired(hub.house, mirror_of(fake(lambda request: request.send(200, b"wrong"))))
    (lost,) = done.lost
    assert all("received 5 bytes" in answer for answer in lost.tried)
    assert not hub.house.store.has(lost.digest)
