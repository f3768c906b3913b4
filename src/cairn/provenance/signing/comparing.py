"""Where files differ from what was signed: each difference by name.

The signer says which paths were left out. The verifier decides what follows from that: a file
that nobody signed fails the check wherever it lies, unless the verifier allows its path.
"""

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field

from cairn.provenance.signing.manifests import SignedManifest

ALLOWED_UNSIGNED = (".gitattributes", ".gitignore")
"""What git and Hugging Face clients put beside every model, and no loader reads."""


@dataclass(frozen=True, slots=True)
class FoundFiles:
    """What is there: regular files by digest in hex, other things by what they are.

    `unhashed` are regular files whose digests do not matter because nobody signed them.
    """

    digests: Mapping[str, str]
    others: Mapping[str, str] = field(default_factory=dict)
    unhashed: Collection[str] = ()


@dataclass(frozen=True, slots=True)
class Differences:
    """Paths that are not as signed, sorted.

    `renamed` are pairs of a signed path and the one its bytes have now. `left_out` were not
    signed because the signer ignored their path, and are not allowed; `allowed` are.
    `others` are links and other things that are no regular files, with what they are.
    """

    changed: tuple[str, ...] = ()
    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    renamed: tuple[tuple[str, str], ...] = ()
    left_out: tuple[str, ...] = ()
    others: tuple[tuple[str, str], ...] = ()
    allowed: tuple[str, ...] = ()

    @property
    def is_none(self) -> bool:
        """Whether everything is as signed; what is allowed is no difference."""
        return not any(
            (self.changed, self.added, self.removed, self.renamed, self.left_out, self.others)
        )

    def sentences(self) -> Iterator[str]:
        """Each difference in words."""
        for path in self.changed:
            yield f"changed: {path}"
        for before, after in self.renamed:
            yield f"renamed: {before} is now {after}"
        for path in self.removed:
            yield f"removed: {path}"
        for path in self.added:
            yield f"added: {path} was not signed"
        for path in self.left_out:
            yield f"not signed: {path}, a path the signer ignored"
        for path, what in self.others:
            yield f"{what}: {path}"


def compare(
    manifest: SignedManifest, found: FoundFiles, allowed: Collection[str] = ALLOWED_UNSIGNED
) -> Differences:
    """Compare files with what was signed; `allowed` may lie there unsigned, with all below."""
    there = {**found.digests, **dict.fromkeys((*found.others, *found.unhashed), "")}
    unsigned = sorted(there.keys() - manifest.digests.keys())
    tolerated = [path for path in unsigned if path not in found.others and _is_below(path, allowed)]
    left_out = [
        path
        for path in unsigned
        if manifest.leaves_out(path) and path not in tolerated and path not in found.others
    ]
    excused = {*tolerated, *left_out, *found.others}
    added = [path for path in unsigned if path not in excused]
    removed = sorted(manifest.digests.keys() - there.keys())
    renamed = _renamed(manifest, found, removed, added)
    return Differences(
        changed=tuple(
            path
            for path in sorted(found.digests.keys() & manifest.digests.keys())
            if found.digests[path] != manifest.digests[path]
        ),
        added=tuple(path for path in added if path not in {new for _, new in renamed}),
        removed=tuple(path for path in removed if path not in {old for old, _ in renamed}),
        renamed=renamed,
        left_out=tuple(left_out),
        others=tuple(sorted(found.others.items())),
        allowed=tuple(tolerated),
    )


def _is_below(path: str, folders: Collection[str]) -> bool:
    return any(path == one or path.startswith(f"{one}/") for one in folders)


def _renamed(
    manifest: SignedManifest, found: FoundFiles, removed: list[str], added: list[str]
) -> tuple[tuple[str, str], ...]:
    """Pairs of paths with the same bytes, each path at most once."""
    free: defaultdict[str, list[str]] = defaultdict(list)
    for path in reversed(added):
        free[found.digests.get(path, "")].append(path)
    return tuple(
        (path, free[digest].pop())
        for path, digest in ((one, manifest.digests[one]) for one in removed)
        if free.get(digest)
    )
