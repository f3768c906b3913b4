"""What the header and the tabs of every page of a repo show: the repo, its refs, one revision."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from cairn.catalog import RepoRecord
from cairn.domain import AccessState, Entry, Ref, RepoId, RepoType, Revision, is_commit_id
from cairn.errors import EntryNotFoundError, NamingError, RepoNotFoundError, RevisionNotFoundError
from cairn.formats.training_run import RUN
from cairn.hub.web.visit import Visit
from cairn.hub.web.wording import segment
from cairn.workflows import access
from cairn.workflows.cards import base_models
from cairn.workflows.gate import REQUESTS

MAX_CHIPS = 14
MAX_MENU_REFS = 200
SHORT_COMMIT = 7


@dataclass(frozen=True)
class Chip:
    """A label under the repo's name; `link` leads to the list filtered by it."""

    label: str
    value: str
    link: str | None = None

    def __iter__(self) -> Any:
        return iter((self.label, self.value, self.link))


@dataclass(frozen=True)
class RepoView:
    """A repo as the visitor sees it, at the revision the URL names.

    `root` is the URL path of the repo's page. `revision` is None while the repo is empty. `logged`
    is the number of its entry in the transparency log, None for one that has none or waits.
    `has_run`: the revision holds a training run. `is_open`: the visitor may read its files.
    `waiting` requests for access wait for the visitor's answer; None where they decide nothing.
    """

    record: RepoRecord
    root: str
    revision_name: str
    revision: Revision | None
    refs: Sequence[Ref]
    commits: int
    logged: int | None
    base: str
    has_run: bool = False
    is_open: bool = True
    waiting: int | None = None

    @property
    def shown_revision(self) -> str:
        """The revision as the menu says it: commit ids are cut short."""
        name = self.revision_name
        return name[:SHORT_COMMIT] if is_commit_id(name) else name

    @property
    def log_proof(self) -> str:
        """Where the proof is that the revision is in the log."""
        assert self.revision is not None
        repo = self.record.id
        return f"{self.base}/api/cairn/{repo.type.plural}/{repo.full_name}/log/{self.revision.id}"

    @property
    def branches(self) -> list[Ref]:
        """Branches, the default one first."""
        found = [ref for ref in self.refs if ref.name.startswith("refs/heads/")]
        found.sort(key=lambda ref: (ref.short_name != self.record.default_branch, ref.name))
        return found[:MAX_MENU_REFS]

    @property
    def tags(self) -> list[Ref]:
        """Tags."""
        return [ref for ref in self.refs if ref.name.startswith("refs/tags/")][:MAX_MENU_REFS]

    @property
    def here(self) -> str:
        """The revision as one URL segment."""
        return segment(self.revision_name)

    @property
    def tabs(self) -> list[tuple[str, str, str, int | None]]:
        """Name, label, link and count of each tab."""
        if not self.is_open:
            return [("card", "Access", self.root, None)]
        tensors = self.record.tensor_count or None
        card = self.root if self.is_default else f"{self.root}/card/{self.here}"
        tabs: list[tuple[str, str, str, int | None]] = [
            ("card", "Card", card, None),
            ("files", "Files", f"{self.root}/tree/{self.here}", None),
            ("commits", "Commits", f"{self.root}/commits/{self.here}", self.commits),
        ]
        if self.record.id.type is RepoType.MODEL or tensors:
            tabs.append(("tensors", "Tensors", f"{self.root}/tensors/{self.here}", None))
        if self.has_run:
            tabs.append(("training", "Training", f"{self.root}/training/{self.here}", None))
        tabs.append(("storage", "Storage", f"{self.root}/storage/{self.here}", None))
        tabs.append(("security", "Security", f"{self.root}/security/{self.here}", None))
        if self.waiting is not None:
            tabs.append(("access", "Access", f"{self.root}/{REQUESTS}", self.waiting or None))
        return tabs

    @property
    def is_default(self) -> bool:
        """Whether the page shows the default branch."""
        return self.revision_name == self.record.default_branch

    @property
    def chips(self) -> list[Chip]:
        """Task, library, licence, parent models and free tags, each once."""
        record, section = self.record, f"{self.base}/{self.record.id.type.plural}"
        chips = []
        known = (
            ("task", "pipeline_tag", record.pipeline_tag),
            ("library", "library", record.library_name),
            ("licence", "license", record.license),
        )
        for label, key, value in known:
            if value:
                chips.append(Chip(label, value, f"{section}?{urlencode({key: value})}"))
        chips += [Chip("from", p, parent_link(self.base, p)) for p in base_models(record)]
        if record.gated:
            chips.append(Chip("access", f"{record.gated} approval"))
        said = {record.pipeline_tag, record.library_name}
        for tag in record.tags:
            if ":" not in tag and tag not in said and len(chips) < MAX_CHIPS:
                chips.append(Chip("", tag, f"{section}?{urlencode({'tag': tag})}"))
        return chips


def parent_link(base: str, parent: str) -> str | None:
    """The page of a parent model, if its name can be one of a repo."""
    try:
        return f"{base}/{RepoId.parse(RepoType.MODEL, parent).url_path}"
    except NamingError:
        return None


def load_repo(visit: Visit, *, files: bool = True) -> RepoView:
    """The repo and revision that the URL's `kind`, `namespace`, `name` and `rev` mean.

    `files` says that the page shows files, which a gated repo keeps from strangers.

    Raises:
        RepoNotFoundError: no such repo, or a private one of somebody else.
        GatedError: the repo's files need its owner's consent.
        RevisionNotFoundError: no such branch, tag or commit.
    """
    record = _record(visit, files=files)
    name = visit.param("rev") or record.default_branch
    history = visit.house.catalog.history
    refs = history.refs(record.uid)
    revision: Revision | None
    try:
        revision = history.resolve(record.uid, name)
    except RevisionNotFoundError:
        if visit.param("rev") and name != record.default_branch:
            raise
        revision = None
    commits = history.count_commits(record.uid, revision.id) if revision else 0
    entry = visit.house.catalog.logbook.of_commit(record.uid, revision.id) if revision else None
    root = f"{visit.base}/{record.id.url_path}"
    return RepoView(
        record=record,
        root=root,
        revision_name=name,
        revision=revision,
        refs=refs,
        commits=commits,
        logged=entry.number if entry else None,
        base=visit.base,
        has_run=revision is not None and _holds(visit, revision, RUN),
        is_open=files,
        waiting=_waiting(visit, record),
    )


def _waiting(visit: Visit, record: RepoRecord) -> int | None:
    if not record.gated or not visit.actor.may_administer(record.id):
        return None
    return visit.house.catalog.access_requests.counts(record.uid)[AccessState.PENDING]


def _holds(visit: Visit, revision: Revision, path: str) -> bool:
    try:
        return isinstance(visit.house.catalog.history.entry(revision.tree, path), Entry)
    except EntryNotFoundError:
        return False


def _record(visit: Visit, *, files: bool) -> RepoRecord:
    kind = RepoType.from_plural(visit.param("kind"))
    try:
        repo_id = RepoId(kind, visit.param("namespace"), visit.param("name"))
    except NamingError as error:
        raise RepoNotFoundError(f"there is no such {kind.value}: {error}") from None
    allowed = access.openable if files else access.readable
    return allowed(visit.house, visit.actor, repo_id)
