"""What counts against a namespace, and which limits hold for it."""

import pytest

from cairn.catalog import Catalog
from cairn.domain import Measure, Quota, Usage
from cairn.errors import NotFoundError, RequestError
from tests.catalog.conftest import Clock
from tests.catalog.histories import blob, commit, new_repo, put, put_large


def test_a_limit_is_set_changed_and_taken_back_and_the_audit_says_so(catalog: Catalog) -> None:
    catalog.accounts.create_user("ada")
    assert catalog.quotas.own("ada") == {}
    catalog.quotas.limit("Ada", Measure.LOGICAL, 10, None)
    catalog.quotas.limit("ada", Measure.LOGICAL, 20, None)
    catalog.quotas.limit("ada", Measure.STORED, None, None)
    assert catalog.quotas.own("ADA") == {Measure.LOGICAL: 20, Measure.STORED: None}
    assert not catalog.quotas.limits_any(Measure.STORED)
    assert catalog.quotas.limits_any(Measure.LOGICAL)
    catalog.quotas.reset("ada", Measure.LOGICAL, None)
    assert catalog.quotas.own("ada") == {Measure.STORED: None}
    told = [row.detail for row in catalog.audit.recent(4)]
    assert told == ["ada logical default", "ada stored none", "ada logical 20", "Ada logical 10"]


def test_nobody_has_no_quota(catalog: Catalog) -> None:
    with pytest.raises(NotFoundError, match="nobody"):
        catalog.quotas.limit("nobody", Measure.LOGICAL, 1, None)
    with pytest.raises(RequestError, match="-1"):
        Quota(logical_bytes=-1)


def test_a_file_counts_once_in_all_repos_and_revisions_of_a_namespace(catalog: Catalog) -> None:
    one, two, other = (new_repo(catalog, name) for name in ("ada/one", "ada/two", "bob/three"))
    for repo in (one, two, other):
        commit(catalog, repo, put_large("weights", b"w" * 100))
    commit(catalog, one, put("note", b"first"))
    commit(catalog, one, put("note", b"second!"))
    assert catalog.quotas.usage("ada") == Usage(100 + 5 + 7)
    assert catalog.quotas.usage("bob") == Usage(100)
    assert catalog.quotas.committed_bytes("Ada") == 112
    catalog.repos.delete(one.id)
    assert catalog.quotas.usage("ada") == Usage(100)
    assert catalog.quotas.usage("nobody") == Usage(0)


def test_what_was_sent_counts_before_it_is_committed(catalog: Catalog) -> None:
    repo = new_repo(catalog)
    commit(catalog, repo, put("kept", b"kept"))
    for data in (b"kept", b"sent and waiting"):
        catalog.uploads.record(repo.uid, blob(data))
    assert catalog.quotas.usage("ada").logical_bytes == 4 + 16
    assert catalog.quotas.committed_bytes("ada") == 4
    kept, sent, new = (blob(data).digest for data in (b"kept", b"sent and waiting", b"new"))
    assert catalog.quotas.not_received("ada", [kept, sent, new]) == {new}
    assert catalog.quotas.not_committed("ada", [kept, sent, new]) == {sent, new}
    assert catalog.quotas.unknown_sizes("ada", [4, 16, 17, 17]) == {17}


def test_many_digests_are_looked_up_at_once(catalog: Catalog) -> None:
    repo = new_repo(catalog)
    commit(catalog, repo, *[put(str(n), str(n).encode()) for n in range(0, 1200, 2)])
    digests = {n: blob(str(n).encode()).digest for n in range(1200)}
    missing = catalog.quotas.not_committed("ada", digests.values())
    assert missing == {digests[n] for n in range(1, 1200, 2)}


def test_the_last_count_of_bytes_on_disk_takes_the_place_of_the_one_before(
    catalog: Catalog, clock: Clock
) -> None:
    for name in ("ada", "bob"):
        catalog.accounts.create_user(name)
    catalog.quotas.record_stored({"Ada": 7, "bob": 8})
    clock.advance(hours=1)
    catalog.quotas.record_stored({"bob": 1 << 40})
    assert catalog.quotas.usage("bob") == Usage(0, 1 << 40, clock.now)
    assert catalog.quotas.usage("ada") == Usage(0)
