"""Large files through LFS: skipped, sent whole, sent in parts, fetched; and what is refused."""

import hashlib
import os
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest

from cairn.domain import Digest

DATA = b"weights" * 1000


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def asked(repo, data: bytes = DATA, **kwargs) -> dict:
    answer = repo.batch({"oid": sha256(data), "size": len(data)}, **kwargs)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"].startswith("application/vnd.git-lfs+json")
    return answer.json()["objects"][0]


def href(repo, data: bytes = DATA) -> str:
    return asked(repo, data)["actions"]["upload"]["href"]


def stored(hub, data: bytes = DATA) -> bool:
    return hub.house.store.has(Digest.sha256(sha256(data)))


def test_an_object_is_sent_verified_committed_and_not_sent_again(hub, repo):
    actions = asked(repo)["actions"]
    nobody = repo.through(hub.client())
    assert nobody.client.put(actions["upload"]["href"], content=DATA).status_code == 200
    body = {"oid": sha256(DATA), "size": len(DATA)}
    assert repo.client.post(actions["verify"]["href"], json=body).status_code == 200
    assert "actions" not in asked(repo)
    assert repo.commit(repo.large("m.bin", sha256(DATA), len(DATA))).status_code == 200
    row = repo.client.post(f"{repo.api}/paths-info/main", data={"paths": "m.bin"}).json()[0]
    pointer = f"version https://git-lfs.github.com/spec/v1\noid sha256:{sha256(DATA)}\nsize 7000\n"
    assert row["lfs"] == {"oid": sha256(DATA), "size": 7000, "pointerSize": len(pointer)}
    assert row["oid"] == hashlib.sha1(b"blob %d\0%s" % (len(pointer), pointer.encode())).hexdigest()


@pytest.mark.parametrize("wrong", [DATA[:-1], DATA + b"x", DATA[:-1] + b"X", b""])
def test_other_bytes_than_announced_are_400_and_not_kept(hub, repo, wrong):
    answer = repo.client.put(href(repo), content=wrong)
    assert answer.status_code == 400, answer.text
    assert not stored(hub) and not stored(hub, wrong)
    assert "actions" in asked(repo)
    assert repo.commit(repo.large("m.bin", sha256(DATA))).status_code == 400


def test_chunked_uploads_are_bounded_by_the_announced_size(hub, repo):
    def endless():
        for _ in range(100):
            yield DATA

    answer = repo.client.put(href(repo), content=endless())
    assert answer.status_code == 400 and not stored(hub)
    assert repo.client.put(href(repo), content=iter([DATA[:10], DATA[10:]])).status_code == 200


def changed(url: str, **query: str) -> str:
    parts = urlsplit(url)
    pairs = {k: v[0] for k, v in parse_qs(parts.query).items()} | query
    return parts._replace(query=urlencode(pairs)).geturl()


def test_foreign_and_changed_signatures_are_403(hub, repo):
    url = href(repo)
    other = href(repo, b"other")
    other_query = urlsplit(other).query
    second = repo.__class__(repo.client, "ann/n").create()
    foreign_query = urlsplit(href(second)).query
    bad = [
        urlsplit(url)._replace(query="").geturl(),
        changed(url, signature="AAAA"),
        changed(url, claims="e30"),
        urlsplit(url)._replace(query=other_query).geturl(),
        urlsplit(url)._replace(query=foreign_query).geturl(),
        url.replace(sha256(DATA), "0" * 64),
    ]
    for one in bad:
        answer = repo.client.put(one, content=DATA)
        assert answer.status_code == 403, one
        assert answer.headers["x-error-code"] == "Forbidden"
    assert repo.client.get(url).status_code == 403  # signed for PUT
    assert not stored(hub)


def test_an_expired_signature_is_403(hub, repo):
    brief = repo.through(hub.client("ann", signed_url_ttl_s=0.000001))
    answer = repo.client.put(href(brief), content=DATA)
    assert answer.status_code == 403 and "expired" in answer.json()["error"]


def test_a_hub_with_another_secret_does_not_honour_it(hub, repo):
    url = href(repo)
    other = hub.client("ann", secret="another-secret-that-is-long-enough!!")
    assert other.put(url, content=DATA).status_code == 403


def test_knowing_a_hash_gives_nobody_the_file(hub, repo):
    """A commit or batch that only names somebody else's SHA-256 must not reach the bytes."""
    repo.client.put(f"{repo.api}/settings", json={"private": True})
    oid = repo.put_large(DATA)
    assert repo.commit(repo.large("m.bin", oid)).status_code == 200
    thief = repo.__class__(hub.client("eve"), "eve/loot").create()
    assert "actions" in asked(thief)  # told to send it, although the hub has it
    answer = thief.commit(thief.large("m.bin", oid))
    assert answer.status_code == 400 and "upload" in answer.json()["error"]
    loot = asked(thief, operation="download")
    assert loot["error"]["code"] == 404 and "actions" not in loot
    body = {"oid": oid, "size": len(DATA)}
    verify = thief.client.post(f"{thief.files}.git/info/lfs/objects/verify", json=body)
    assert verify.status_code == 404
    # The same names in the thief's other repo, after a failed attempt to send it, change nothing.
    thief.client.put(href(thief), content=b"guess")
    assert thief.commit(thief.large("m.bin", oid)).status_code == 400
    # Who really has the bytes may use them, without a second copy being kept.
    thief.put_large(DATA)
    assert thief.commit(thief.large("m.bin", oid)).status_code == 200


def test_what_somebody_may_read_elsewhere_they_need_not_send(hub, repo):
    oid = repo.put_large(DATA)
    theirs = repo.__class__(hub.client("bob"), "bob/tuned").create()
    assert "actions" in asked(theirs)  # received by ann's repo, but in none of its revisions
    assert repo.commit(repo.large("m.bin", oid)).status_code == 200
    assert "actions" not in asked(theirs)
    assert theirs.commit(theirs.large("m.bin", oid, len(DATA))).status_code == 200
    assert theirs.client.get(f"{theirs.files}/resolve/main/m.bin").content == DATA


@pytest.mark.parametrize(
    ("closed", "reopened"),
    [({"private": True}, {"private": False}), ({"gated": "manual"}, {"gated": False})],
)
def test_what_a_closed_repo_holds_only_its_owner_is_spared(hub, repo, closed, reopened):
    repo.commit(repo.large("m.bin", repo.put_large(DATA)))
    repo.client.put(f"{repo.api}/settings", json=closed)
    theirs = repo.__class__(hub.client("bob"), "bob/tuned").create()
    unknown = asked(theirs, b"never seen")
    assert asked(theirs).keys() == unknown.keys() and "actions" in unknown
    assert theirs.commit(theirs.large("m.bin", sha256(DATA))).status_code == 400
    assert "actions" not in asked(repo.__class__(repo.client, "ann/tuned").create())
    repo.client.put(f"{repo.api}/settings", json=reopened)
    assert "actions" not in asked(theirs)


def test_a_damaged_blob_of_another_repo_is_asked_for(hub, repo):
    oid = repo.put_large(DATA)
    repo.commit(repo.large("m.bin", oid))
    next(hub.settings.store_dir.glob(f"raw/*/{oid}")).write_bytes(b"x" * len(DATA))
    hub.house.store.verify()
    theirs = repo.__class__(hub.client("bob"), "bob/tuned").create()
    assert "actions" in asked(theirs)


def test_a_lying_size_is_refused(repo):
    oid = repo.put_large(DATA)
    assert repo.commit(repo.large("m.bin", oid, 5)).status_code == 400
    shape = repo.batch({"oid": oid, "size": 5}).json()["objects"][0]
    assert shape["error"]["code"] == 422


@pytest.mark.parametrize(
    "item",
    [{}, {"oid": "x", "size": 1}, {"oid": "0" * 64}, {"oid": "0" * 64, "size": -1},
     {"oid": "0" * 64, "size": True}, {"oid": "A" * 64, "size": 1}, 7, None,
     {"oid": "0" * 64, "size": 1 << 62}],
)  # fmt: skip
def test_a_bad_object_is_an_error_beside_good_ones(repo, item):
    shapes = repo.batch(item, {"oid": sha256(DATA), "size": len(DATA)}).json()["objects"]
    assert shapes[0]["error"]["code"] == 422 and shapes[0]["error"]["message"]
    assert isinstance(shapes[0]["oid"], str) and isinstance(shapes[0]["size"], int)
    assert "actions" in shapes[1]


@pytest.mark.parametrize(
    "body",
    [{}, {"operation": "upload"}, {"operation": "erase", "objects": []}, {"objects": []},
     {"operation": "upload", "objects": {}}, {"operation": "upload", "objects": [{}] * 1001},
     {"operation": "upload", "objects": [], "hash_algo": "md5"}],
)  # fmt: skip
def test_a_bad_batch_is_400(repo, body):
    assert repo.client.post("/ann/m.git/info/lfs/objects/batch", json=body).status_code == 400


def test_download_goes_through_a_signed_url(hub, repo):
    assert asked(repo, operation="download")["error"]["code"] == 404
    oid = repo.put_large(DATA)
    assert asked(repo, operation="download")["error"]["code"] == 404  # in no revision yet
    repo.commit(repo.large("m.bin", oid))
    url = asked(repo, operation="download")["actions"]["download"]["href"]
    nobody = hub.client()
    assert nobody.get(url).content == DATA
    assert nobody.get(url, headers={"Range": "bytes=7-13"}).content == b"weights"
    assert nobody.get(changed(url, signature="x")).status_code == 403


@pytest.fixture
def parted(hub, repo):
    client = hub.client("ann", lfs_multipart_threshold_bytes=1000, lfs_part_bytes=3000)
    return repo.through(client)


def parts_of(repo, data: bytes = DATA) -> tuple[str, list[str]]:
    upload = asked(repo, data, transfers=("basic", "multipart"))["actions"]["upload"]
    header = upload["header"]
    assert header.pop("chunk_size") == "3000"
    assert all(key.isdigit() for key in header)
    return upload["href"], [header[key] for key in sorted(header)]


def send_parts(repo, urls: list[str], data: bytes = DATA) -> list[dict]:
    tags = []
    for at, url in enumerate(urls):
        answer = repo.client.put(url, content=data[at * 3000 : (at + 1) * 3000])
        assert answer.status_code == 200, answer.text
        tags.append({"partNumber": at + 1, "etag": answer.headers["etag"]})
    return tags


def staged(hub) -> list:
    return [p for p in hub.settings.store_dir.rglob("lfs-*/*") if p.is_file()]


def test_parts_are_joined_checked_and_dropped(hub, parted):
    complete, urls = parts_of(parted)
    assert len(urls) == 3
    tags = send_parts(parted, urls)
    assert staged(hub)
    body = {"oid": sha256(DATA), "parts": tags}
    nobody = hub.client()
    assert nobody.post(complete, json=body).status_code == 200
    assert stored(hub) and not staged(hub)
    assert nobody.post(complete, json=body).status_code == 200  # asked twice, as clients do
    assert parted.commit(parted.large("m.bin", sha256(DATA))).status_code == 200


def test_a_part_sent_again_counts_by_its_etag(hub, parted):
    complete, urls = parts_of(parted)
    parted.client.put(urls[1], content=b"x" * 3000)  # a first attempt with damaged bytes
    tags = send_parts(parted, urls)
    assert parted.client.post(complete, json={"parts": tags}).status_code == 200


def test_wrong_parts_are_400_and_can_be_sent_again(hub, parted):
    complete, urls = parts_of(parted)
    tags = send_parts(parted, urls, DATA[:-1] + b"X")
    answer = parted.client.post(complete, json={"parts": tags})
    assert answer.status_code == 400 and not stored(hub)
    tags = send_parts(parted, urls)
    assert parted.client.post(complete, json={"parts": tags}).status_code == 200


def test_a_part_of_another_length_is_400(parted):
    _, urls = parts_of(parted)
    for content in (b"x" * 2999, b"x" * 3001, b""):
        assert parted.client.put(urls[0], content=content).status_code == 400
        assert parted.client.put(urls[0], content=iter([content])).status_code == 400


@pytest.mark.parametrize(
    "parts",
    [
        None,
        [],
        [{"partNumber": 1}],
        [{"partNumber": n, "etag": "0" * 32} for n in (1, 2, 3)],
        [{"partNumber": 1, "etag": "0" * 32}] * 3,
        [1, 2, 3],
        [{"partNumber": n, "etag": "../x"} for n in (1, 2, 3)],
        [{"partNumber": n, "etag": "0" * 32} for n in (0, 1, 2)],
    ],
)
def test_a_completion_that_does_not_fit_is_400(hub, parted, parts):
    complete, _ = parts_of(parted)
    answer = parted.client.post(complete, json={"parts": parts})
    assert answer.status_code == 400, answer.text
    assert not stored(hub)


def test_a_completion_is_for_its_own_object_and_repo(hub, parted):
    complete, urls = parts_of(parted)
    tags = send_parts(parted, urls)
    assert parted.client.post(complete, json={"oid": "0" * 64, "parts": tags}).status_code == 400
    wrong = complete.replace(sha256(DATA), "0" * 64)
    assert parted.client.post(wrong, json={"parts": tags}).status_code == 403


def test_an_upload_into_a_deleted_repo_is_404(hub, repo):
    url = href(repo)
    repo.client.request("DELETE", "/api/repos/delete", json={"name": "m"})
    assert repo.client.put(url, content=DATA).status_code == 404


def test_many_send_the_same_object_at_once(hub, repo):
    data = os.urandom(300_000)
    urls = [href(repo, data) for _ in range(6)]
    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(lambda url: hub.client().put(url, content=data), urls))
    assert {answer.status_code for answer in answers} == {200}
    digest = Digest.sha256(sha256(data))
    assert hub.house.store.read_bytes(digest, len(data)) == data
