"""An address or token of Xet's that was given to somebody ends when they may not read any more."""

from cairn.catalog import Catalog
from cairn.domain import AccessState
from tests.hub.xet.conftest import XetHub
from tests.hub.xet.test_quarantine import publish


def test_who_is_turned_out_of_a_gated_repo_reads_no_more_over_xet(hub: XetHub) -> None:
    repo, file = publish(hub, "notes.txt", b"words for those who are let in\n")
    catalog: Catalog = hub.house.catalog
    record = catalog.repos.update(hub.repo_id(repo), gated="manual")
    catalog.access_requests.grant(record, "bob", None)
    grant = hub.connect(repo, kind="read", who="bob")
    path = f"/v1/reconstructions/{file.text}"
    (entries,) = hub.cas(grant, path).json()["fetch_info"].values()
    address = entries[0]["url"]
    assert hub.http(address).status_code == 206
    catalog.access_requests.decide(record, "bob", AccessState.REJECTED, "", None)
    assert hub.http(address).headers["x-error-code"] == "GatedRepo"
    assert hub.cas(grant, path).status_code == 403
    catalog.repos.update(record.id, gated="off", private=True)
    assert hub.http(address).status_code == 404
    catalog.repos.update(record.id, private=False)
    assert hub.http(address).status_code == 206
