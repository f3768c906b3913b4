"""People are told what became of their repos, on a page and by the API."""

from cairn.domain import OrgRole, RepoId, RepoType
from cairn.workflows.notifications import NoticeKind, notify_admins, notify_owners, owners_of
from cairn.workflows.repos import create_repo
from tests.hub.conftest import Hub

PAGE = {"accept": "text/html"}


def tell(hub: Hub, name: str, text: str) -> int:
    record = hub.house.catalog.repos.get(RepoId.parse(RepoType.MODEL, name))
    return notify_owners(hub.house, record, NoticeKind.VERDICT, text)


def new_repo(hub: Hub, name: str) -> None:
    ann = hub.house.catalog.tokens.actor(hub.tokens["ann"])
    create_repo(hub.house, ann, RepoId.parse(RepoType.MODEL, name), private=False)


def test_owners_are_who_may_write(hub: Hub) -> None:
    accounts = hub.house.catalog.accounts
    assert owners_of(hub.house, "ann") == ["ann"]
    assert owners_of(hub.house, "lab") == ["ann"]  # bob may only read
    accounts.set_member("lab", "bob", OrgRole.WRITE)
    assert owners_of(hub.house, "lab") == ["ann", "bob"]


def test_owners_read_what_they_are_told(hub: Hub) -> None:
    new_repo(hub, "lab/m")
    assert tell(hub, "lab/m", "a file <b>got worse</b>") == 1
    ann = hub.client("ann")
    told = ann.get("/api/cairn/notifications").json()
    (one,) = told["notifications"]
    assert told["unread"] == 1 and one["repo"] == "lab/m" and one["link"] == "/lab/m"
    page = ann.get("/notifications", headers=PAGE).text
    assert "a file &lt;b&gt;got worse&lt;/b&gt;" in page and 'href="/lab/m"' in page
    assert "Unread notifications:</span>1" in page
    answer = ann.post("/api/cairn/notifications/read", json={"up_to": one["id"]})
    assert answer.status_code == 204
    assert ann.get("/api/cairn/notifications?unread=true").json() == {
        "unread": 0,
        "notifications": [],
    }
    assert "Unread notifications" not in ann.get("/notifications", headers=PAGE).text


def test_the_page_marks_as_read_what_it_showed(hub: Hub) -> None:
    new_repo(hub, "ann/m")
    for number in range(60):
        tell(hub, "ann/m", f"text {number:02}")
    ann = hub.client("ann")
    page = ann.get("/notifications", headers=PAGE).text
    assert "text 59" in page and "text 09" not in page
    newest = hub.house.catalog.notifications.of("ann", 1)[0].id
    older = ann.get(f"/notifications?before={newest - 49}", headers=PAGE).text
    assert "text 09" in older and "Mark all" not in older
    tell(hub, "ann/m", "came later")
    form = {"up_to": str(newest)}
    assert ann.post("/notifications/read", data=form).headers["location"] == "/notifications"
    assert hub.house.catalog.notifications.count_unread("ann") == 1


def test_nobody_reads_what_others_are_told(hub: Hub) -> None:
    new_repo(hub, "ann/m")
    tell(hub, "ann/m", "it is worse")
    assert hub.client().get("/api/cairn/notifications").status_code == 401
    assert hub.client("eve").get("/api/cairn/notifications").json()["notifications"] == []
    hub.client("eve").post("/api/cairn/notifications/read", json={"up_to": 99})
    assert hub.house.catalog.notifications.count_unread("ann") == 1
    assert hub.client().get("/notifications").headers["location"].startswith("/login")
    assert hub.client().post("/notifications/read", data={"up_to": "1"}).status_code == 403
    assert hub.client("ann").get("/notifications?before=x").status_code == 400


def test_administrators_are_told_by_being_some(hub: Hub) -> None:
    hub.house.catalog.accounts.create_user("root", is_admin=True)
    assert notify_admins(hub.house, NoticeKind.APPEAL, "x" * 3000, link="/admin/appeals") == 1
    (one,) = hub.house.catalog.notifications.of("root", 5)
    assert len(one.text) == 1000 and one.link == "/admin/appeals"
    assert hub.house.catalog.notifications.of("ann", 5) == []
