"""Asks about the siblings of models whose weights people asked about, when nothing else is to do.

A report says more beside those on other models of its base, and these should not wait until
somebody opened the page of each. Each takes reading both models: so none is made of a base that
nobody asked about, and there are limits.
"""

from collections import defaultdict

from cairn.catalog import RepoQuery, RepoRecord, Trees
from cairn.catalog.comparisons import MAX_KEPT
from cairn.domain import Account, Actor, RepoId, RepoType
from cairn.errors import NamingError, NotFoundError
from cairn.workflows.cards import base_models
from cairn.workflows.house import House
from cairn.workflows.kept_weights import SCHEMA, asked

MAX_SIBLINGS = 30
"""Models of one base that are compared: with 19 a rank of 0.05 can be seen."""

# Repos that one look goes through, and reports that the hub makes of its own accord: what people
# asked for must not make room for it.
_LOOKED_AT = 100
_MOST_REPORTS = MAX_KEPT // 2

# Reports name no repo; who reads one must be allowed to read both sides.
_EVERYTHING = Actor(Account("cairn", "This hub", is_admin=True))


class SiblingReports:
    """Goes round the models of a hub, the last changed first, a part at a time."""

    def __init__(self, house: House) -> None:
        self._house = house
        self._cursor: str | None = None
        self._of_base: dict[str, set[str]] = defaultdict(set)

    def ask_next(self) -> bool:
        """Ask about the next sibling without a report; False if of those looked at none is."""
        kept = self._house.catalog.weight_reports
        bases = kept.trees_before()
        if not bases or kept.count() >= _MOST_REPORTS:
            return False
        page = self._house.catalog.repos.search(
            RepoQuery(RepoType.MODEL, limit=_LOOKED_AT, cursor=self._cursor, viewer=_EVERYTHING)
        )
        for record in page.repos:
            trees = self._trees(record)
            if trees is None or trees[0] not in bases or not self._is_within_limit(trees):
                continue
            if kept.get(trees, SCHEMA) is None and asked(self._house, trees) is not None:
                return True
        self._cursor = page.next_cursor
        if self._cursor is None:
            self._of_base.clear()
        return False

    def _is_within_limit(self, trees: Trees) -> bool:
        models = self._of_base[trees[0]]
        if len(models) < MAX_SIBLINGS:
            models.add(trees[1])
        return trees[1] in models

    def _trees(self, record: RepoRecord) -> Trees | None:
        """The model's base and itself, as far as the hub has both and they differ."""
        for name in base_models(record):
            try:
                base = self._house.catalog.repos.get(RepoId.parse(RepoType.MODEL, name))
                trees = self._head(base), self._head(record)
            except (NamingError, NotFoundError):
                continue  # not on this hub, or empty
            if trees[0] != trees[1]:
                return trees
        return None

    def _head(self, record: RepoRecord) -> str:
        return self._house.catalog.history.resolve(record.uid, record.default_ref).tree
