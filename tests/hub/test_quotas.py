"""Quotas over HTTP: refused before bytes are sent, in words that the stock client shows."""

from dataclasses import replace

import pytest

from cairn.domain import Measure, Quota
from cairn.workflows.namespace_stock import count_stored, count_stored_if_limited
from tests.hub.conftest import Hub, LiveHub, Repo
from tests.hub.test_stock_client import script

LIMIT = 1_000_000


def limit(hub: Hub, measure: Measure, max_bytes: int | None, name: str = "ann") -> None:
    hub.house.catalog.quotas.limit(name, measure, max_bytes, None)


def used(hub: Hub) -> int:
    return hub.house.catalog.quotas.usage("ann").logical_bytes


def test_the_stock_client_says_what_is_full_and_what_to_do(live: LiveHub) -> None:
    limit(live.hub, Measure.LOGICAL, LIMIT)
    live.run(
        script("""
        def refused(call, *args, **kwargs):
            error = raises(HfHubHTTPError, call, *args, **kwargs)
            assert error.response.status_code == 413, error
            said = str(error)
            assert "ann may keep 1,000,000 bytes and has" in said, said
            assert "Delete repos" in said and "permissions" not in said, said
            return error
        api.create_repo("ann/full")
        weights = os.urandom(600_000)
        upload = dict(path_in_repo="a.bin", repo_id="ann/full")
        api.upload_file(path_or_fileobj=weights, **upload)
        api.create_repo("ann/second")
        refused(api.upload_file, path_or_fileobj=os.urandom(500_000), path_in_repo="b.bin",
                repo_id="ann/second")
        # What the namespace has already costs nothing, whatever it is called and wherever.
        api.upload_file(path_or_fileobj=weights, path_in_repo="again.bin", repo_id="ann/second")
        many = [CommitOperationAdd(f"{n}.txt", b"x" * (90_000 + n)) for n in range(5)]
        refused(api.create_commit, "ann/second", many, commit_message="many")
        assert "0.txt" not in api.list_repo_files("ann/second")
        api.delete_repo("ann/full")
        api.delete_repo("ann/second")
        api.create_repo("ann/third")
        api.upload_file(path_or_fileobj=os.urandom(500_000), path_in_repo="b.bin",
                        repo_id="ann/third")
        api.delete_repo("ann/third")
    """)
    )
    live.hub.house.catalog.quotas.reset("ann", Measure.LOGICAL, None)


def test_a_batch_of_large_files_is_refused_before_any_byte(hub: Hub, repo: Repo) -> None:
    limit(hub, Measure.LOGICAL, LIMIT)
    sizes = {"a" * 64: 600_000, "b" * 64: 500_000}
    objects = [{"oid": oid, "size": size} for oid, size in sizes.items()]
    refused = repo.batch(*objects, {"oid": "nonsense", "size": -1})
    assert refused.status_code == 413 and refused.headers["x-error-code"] == "QuotaExceeded"
    assert "ann may keep 1,000,000 bytes" in refused.headers["x-error-message"]
    assert refused.json()["message"] == refused.json()["error"]
    assert repo.batch(*objects, operation="download").status_code == 200
    assert repo.batch(objects[0]).status_code == 200


def test_two_batches_that_fit_by_themselves_do_not_fit_together(hub: Hub, repo: Repo) -> None:
    limit(hub, Measure.LOGICAL, LIMIT)
    first = repo.put_large(b"1" * 600_000)
    hub.house.catalog.quotas.reset("ann", Measure.LOGICAL, None)
    oid = repo.put_large(b"2" * 600_000)
    limit(hub, Measure.LOGICAL, LIMIT)
    assert used(hub) > LIMIT
    assert repo.commit(repo.large("1.bin", first)).status_code == 200
    refused = repo.commit(repo.large("2.bin", oid))
    assert refused.status_code == 413 and "this would add 600,000" in refused.json()["error"]


def test_bytes_that_arrive_when_the_room_is_gone_are_not_kept(hub: Hub, repo: Repo) -> None:
    from hashlib import sha256

    content = b"3" * 600_000
    oid = sha256(content).hexdigest()
    action = repo.batch({"oid": oid, "size": len(content)}).json()["objects"][0]["actions"]
    limit(hub, Measure.LOGICAL, 500_000)
    refused = repo.client.put(action["upload"]["href"], content=content)
    assert refused.status_code == 413
    assert hub.house.store.stats().logical_bytes < len(content)


def test_preupload_refuses_what_certainly_does_not_fit(hub: Hub, repo: Repo) -> None:
    limit(hub, Measure.LOGICAL, LIMIT)
    repo.put("have.txt", b"h" * 700_000)

    def ask(*sizes: int, ignore: str = ""):
        files = [{"path": f"{n}.bin", "size": s, "sample": ""} for n, s in enumerate(sizes)]
        body = {"files": files, "gitIgnore": ignore}
        return repo.client.post(f"{repo.api}/preupload/main", json=body).status_code

    assert ask(700_000, 700_000) == 200  # may be what is here
    assert ask(250_000, 250_000) == 200  # may be one and the same
    assert ask(250_000, 250_001) == 413
    assert ask(250_000, 250_001, ignore="*.bin\n") == 200


def test_an_exact_fit_is_room_enough_and_a_removed_limit_too(hub: Hub, repo: Repo) -> None:
    limit(hub, Measure.LOGICAL, used(hub) + 10)
    assert repo.commit(repo.file("a", b"x" * 11)).status_code == 413
    assert repo.commit(repo.file("a", b"x" * 10)).status_code == 200
    assert repo.commit({"key": "deletedFile", "value": {"path": "a"}}).status_code == 200
    limit(hub, Measure.LOGICAL, None)
    assert repo.commit(repo.file("b", b"y" * 100)).status_code == 200


def test_the_hubs_default_holds_for_whoever_has_no_limit_of_their_own(hub: Hub) -> None:
    house = replace(hub.house, default_quota=Quota(logical_bytes=5_000))
    client = replace(hub, house=house).client("ann")
    repo = Repo(client).create()
    assert repo.commit(repo.file("a", b"x" * 9_000)).status_code == 413
    limit(hub, Measure.LOGICAL, 50_000)
    assert repo.commit(repo.file("a", b"x" * 9_000)).status_code == 200


def test_a_duplicate_needs_room_in_its_own_namespace(hub: Hub, repo: Repo) -> None:
    repo.put("a.txt", b"a" * 9_000)
    limit(hub, Measure.LOGICAL, 5_000, "lab")
    body = {"repository": "lab/copy"}
    assert repo.client.post(f"{repo.api}/duplicate", json=body).status_code == 413
    limit(hub, Measure.LOGICAL, 50_000, "lab")
    assert repo.client.post(f"{repo.api}/duplicate", json=body).status_code == 200


def test_bytes_on_disk_are_limited_from_their_next_count_on(hub: Hub, repo: Repo) -> None:
    limit(hub, Measure.STORED, 5_000)
    repo.put("a.txt", b"a" * 9_000)
    assert repo.commit(repo.file("b.txt", b"b" * 9_000)).status_code == 200
    count_stored_if_limited(hub.house)
    taken = hub.house.catalog.quotas.usage("ann").stored_bytes
    assert taken is not None and taken > 18_000
    refused = repo.commit(repo.file("c.txt", b"c" * 10))
    assert refused.status_code == 413 and "when they were counted last" in refused.json()["error"]
    assert repo.commit(repo.file("again.txt", b"b" * 9_000)).status_code == 200
    limit(hub, Measure.STORED, 50_000)
    assert repo.commit(repo.file("c.txt", b"c" * 10)).status_code == 200


def test_nothing_is_counted_where_nothing_is_limited(hub: Hub, repo: Repo) -> None:
    repo.put("a.txt", b"a" * 9_000)
    count_stored_if_limited(hub.house)
    assert hub.house.catalog.quotas.usage("ann").counted_at is None
    assert count_stored(hub.house)["ann"] > 9_000


@pytest.mark.parametrize("who", [None, "eve", "bob"])
def test_a_profile_tells_what_is_kept_to_its_own_people_only(hub: Hub, who: str | None) -> None:
    limit(hub, Measure.LOGICAL, 2_000_000, "lab")
    answer = hub.client(who).get("/lab", headers={"accept": "text/html"})
    assert ("2.0 MB at most" in answer.text) == (who == "bob")
    assert answer.status_code == 200
