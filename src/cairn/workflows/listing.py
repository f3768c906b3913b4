"""Every repo of a hub, for whoever keeps it: private ones too."""

from collections.abc import Iterator

from cairn.catalog import RepoQuery, RepoRecord, SortKey
from cairn.domain import Account, Actor, RepoType
from cairn.workflows.house import House

_PAGE = 1000


def all_repos(house: House) -> Iterator[RepoRecord]:
    """Every repo of the hub, of every type."""
    for repo_type in RepoType:
        yield from repos_of_type(house, repo_type, "createdAt")


def repos_of_type(house: House, repo_type: RepoType, sort: SortKey) -> Iterator[RepoRecord]:
    """All repos of a type, read in pages; the highest of `sort` first."""
    # Whoever may read the data directory may read every repo in it.
    operator = Actor(Account("operator", "Operator of this machine", is_admin=True))
    cursor = None
    while True:
        query = RepoQuery(repo_type, sort=sort, limit=_PAGE, cursor=cursor, viewer=operator)
        page = house.catalog.repos.search(query)
        yield from page.repos
        cursor = page.next_cursor
        if cursor is None:
            return
