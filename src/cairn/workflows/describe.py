"""Tells the catalog what a repo's newest revision holds, so that lists need not open files."""

from collections import Counter, defaultdict
from collections.abc import Iterable

from cairn.catalog import ContentsSummary, RepoRecord
from cairn.domain import Entry, Layout, Revision, Role
from cairn.errors import BlobNotFoundError, IntegrityError, UntrustedDataError
from cairn.formats import read_layout
from cairn.workflows.browse import head
from cairn.workflows.cards import sync_card
from cairn.workflows.house import House
from cairn.workflows.stored_file import looks_like_checkpoint, opened

# The same weights often lie in one folder in several formats; the first of these counts.
PREFERRED_FORMATS = ("safetensors", "torch-zip", "torch-legacy")
MAX_FILES = 1000  # headers to read for one description; published repos have at most hundreds


def describe_pending(house: House) -> int:
    """Describe every repo whose default branch moved since; returns how many there were."""
    due = house.catalog.repos.repos_to_describe()
    for record in due:
        describe(house, record)
    return len(due)


def describe(house: House, record: RepoRecord) -> None:
    """Note parameters, formats and sizes of the default branch's newest revision.

    Files that cannot be read are left out: the pages of the revision say why.
    """
    revision = head(house, record)
    if revision is None:
        return
    if record.card_commit != revision.id:
        sync_card(house, record)
    house.catalog.repos.set_contents(record.uid, _contents(house, revision))


def _contents(house: House, revision: Revision) -> ContentsSummary:
    entries = house.catalog.history.manifest(revision.tree).entries.values()
    layouts = _layouts(house, [e for e in entries if looks_like_checkpoint(e)][:MAX_FILES])
    parameters: Counter[str] = Counter()
    for layout in _counted(layouts):
        # The Hub counts every tensor of a safetensors file, and clients compare the numbers.
        for role in (Role.WEIGHTS, Role.BUFFERS):
            for dtype, count in layout.parameters_by_dtype(role).items():
                parameters[dtype.label] += count
    return ContentsSummary(
        commit=revision.id,
        parameters=dict(parameters),
        formats=tuple(sorted({layout.format for layout in layouts.values()})),
        tensor_count=sum(len(layout.tensors) for layout in layouts.values()),
        size_bytes=sum(entry.blob.size_bytes for entry in entries),
    )


def _layouts(house: House, entries: Iterable[Entry]) -> dict[str, Layout]:
    found: dict[str, Layout] = {}
    for entry in entries:
        try:
            with opened(house, entry) as source:
                found[entry.path] = read_layout(source, house.readers)
        except (UntrustedDataError, BlobNotFoundError, IntegrityError):
            continue
    return found


def _counted(layouts: dict[str, Layout]) -> list[Layout]:
    """Of each folder, the layouts of one format, so that no weight is counted twice."""
    folders: dict[str, dict[str, list[Layout]]] = defaultdict(lambda: defaultdict(list))
    for path, layout in layouts.items():
        folders[path.rpartition("/")[0]][layout.format].append(layout)
    counted: list[Layout] = []
    for by_format in folders.values():
        best = next((f for f in PREFERRED_FORMATS if f in by_format), min(by_format))
        counted.extend(by_format[best])
    return counted
