"""How many requests somebody may make, how they are told, and whom we believe about who asks."""

import pytest
from huggingface_hub.utils._http import parse_ratelimit_headers

from cairn.config import load_settings
from cairn.errors import RequestError
from cairn.hub.rate_limits import RateLimits, kind_of
from tests.hub.conftest import Hub, Repo


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_window_begins_with_its_first_request_and_ends_for_good() -> None:
    clock = Clock()
    limits = RateLimits(60, clock)
    clock.now = 10
    assert [limits.take("a", "api", 2).left for _ in range(4)] == [1, 0, -1, -1]
    clock.now = 69
    last = limits.take("a", "api", 2)
    assert (last.left, last.reset_s) == (-1, 1)
    assert limits.take("a", "pages", 2).left == limits.take("b", "api", 2).left == 1
    clock.now = 70
    assert limits.take("a", "api", 2).left == 1


def test_memory_is_bounded_and_those_who_go_on_asking_are_not_forgotten() -> None:
    limits = RateLimits(60, Clock(), max_subjects=100)
    for number in range(10_000):
        limits.take(f"passer-by {number}", "pages", 5)
        last = limits.take("insistent", "pages", 5)
        assert len(limits) <= 100
    assert last.left == -1


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/api/models/ann/m", "api"),
        ("/ann/m/resolve/main/a", "resolvers"),
        ("/datasets/ann/m/raw/main/a", "resolvers"),
        ("/ann/m.git/info/lfs/objects/batch", "resolvers"),
        ("/", "pages"),
        ("/ann/m", "pages"),
    ],
)
def test_requests_are_counted_by_what_they_ask_for(path: str, kind: str) -> None:
    assert kind_of(path) == kind


def test_the_stock_client_reads_what_is_left(hub: Hub) -> None:
    client = hub.client(rate_limit_anonymous=2, rate_limit_window_s=60)
    first, second, third = (client.get("/api/models") for _ in range(3))
    told = parse_ratelimit_headers(first.headers)
    assert (told.resource_type, told.remaining, told.limit, told.window_seconds) == (
        "api",
        1,
        2,
        60,
    )
    assert 58 <= told.reset_in_seconds <= 60
    assert (second.status_code, third.status_code) == (200, 429)
    assert parse_ratelimit_headers(third.headers).remaining == 0
    assert 58 <= int(third.headers["retry-after"]) <= 60
    assert third.headers["x-error-code"] == "TooManyRequests"
    assert client.get("/models").status_code == 200


def test_accounts_are_counted_apart_from_addresses_whatever_the_token(hub: Hub) -> None:
    client = hub.client("ann", rate_limit_anonymous=1, rate_limit_account=3)
    reader = {"authorization": f"Bearer {hub.tokens['ann-reader']}"}
    for headers in ({}, reader, {}):
        assert client.get("/api/models", headers=headers).status_code == 200
    assert client.get("/api/models", headers=reader).status_code == 429
    eve = {"authorization": f"Bearer {hub.tokens['eve']}"}
    assert client.get("/api/models", headers=eve).status_code == 200


def test_guessed_tokens_count_for_the_address(hub: Hub) -> None:
    client = hub.client(rate_limit_anonymous=3, rate_limit_account=3)
    answers = [
        client.get("/api/models", headers={"authorization": f"Bearer cairn_{n}"}).status_code
        for n in range(5)
    ]
    assert answers == [401, 401, 401, 429, 429]
    assert client.get("/api/models").status_code == 429


def test_nought_is_no_limit_and_transfers_by_signature_are_not_counted(hub: Hub) -> None:
    client = hub.client(rate_limit_anonymous=0)
    answer = client.get("/api/models")
    assert "ratelimit" not in answer.headers
    repo = Repo(hub.client("ann", rate_limit_account=6)).create()
    for number in range(5):
        repo.put_large(b"x" * 100 + bytes([number]))
    assert repo.client.get(repo.api).status_code == 200


def test_a_browser_that_is_over_its_limit_gets_a_page(hub: Hub) -> None:
    client = hub.client(rate_limit_anonymous=1)
    html = {"accept": "text/html"}
    client.get("/", headers=html)
    answer = client.get("/", headers=html)
    assert answer.status_code == 429
    assert answer.headers["content-type"].startswith("text/html")


def _addresses_seen(hub: Hub, client, header: str) -> str:
    """The address that a refused sign-in is recorded with."""
    page = client.get("/login", headers={"accept": "text/html"}).text
    token = page.split('name="csrf" value="')[1].split('"')[0]
    client.post(
        "/login",
        data={"token": "nobody's", "csrf": token},
        headers={"sec-fetch-site": "same-origin", "x-forwarded-for": header},
    )
    return hub.house.catalog.audit.recent(1)[0].detail.rpartition(" from ")[2]


def test_only_trusted_proxies_say_who_asks(hub: Hub) -> None:
    direct = hub.client()
    direct._transport.client = ("203.0.113.9", 1)
    assert _addresses_seen(hub, direct, "198.51.100.1") == "203.0.113.9"
    proxied = hub.client(trusted_proxies=("10.0.0.0/8", "203.0.113.9"))
    proxied._transport.client = ("203.0.113.9", 1)
    assert _addresses_seen(hub, proxied, "198.51.100.1") == "198.51.100.1"
    assert _addresses_seen(hub, proxied, "evil, 198.51.100.2, 10.1.2.3") == "198.51.100.2"
    proxied._transport.client = ("203.0.113.10", 1)
    assert _addresses_seen(hub, proxied, "198.51.100.1") == "203.0.113.10"


def test_an_ipv6_customer_is_one_address(hub: Hub) -> None:
    client = hub.client(rate_limit_anonymous=2)
    answers = []
    for host in ("2001:db8:1:2::1", "2001:db8:1:2:ffff::9", "2001:db8:1:2::3", "2001:db8:1:3::1"):
        client._transport.client = (host, 1)
        answers.append(client.get("/api/models").status_code)
    assert answers == [200, 200, 429, 200]


@pytest.mark.parametrize("value", ["*", "proxy.example", "10.0.0.1/8"])
def test_proxies_are_named_by_address(value: str, tmp_path) -> None:
    with pytest.raises(RequestError, match="trusted_proxies"):
        load_settings(data_dir=tmp_path, trusted_proxies=(value,))
