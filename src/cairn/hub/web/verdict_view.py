"""How pages say what scans found: badges, places, what it means for whoever wants the file."""

from dataclasses import dataclass, replace

from cairn.domain import Entry, Finding, ScanPolicy, Verdict
from cairn.hub.identity import releasing_of
from cairn.hub.web.repo_view import RepoView
from cairn.hub.web.visit import Visit
from cairn.hub.web.wording import path_url, plural
from cairn.workflows.security_report import RevisionSecurity, ScanState, security_of
from cairn.workflows.standing import verdicts

MAX_BADGE_FILES = 1000
"""Files of a revision whose verdicts are asked for only to show a badge in the repo's head."""

_CLASSES = {
    Verdict.CLEAN: "current",
    Verdict.UNREAD: "warn",
    Verdict.MALFORMED: "warn",
    Verdict.SUSPICIOUS: "warn",
    Verdict.MALICIOUS: "bad",
}
_TITLES = {
    Verdict.CLEAN: "Read whole, and nothing was found",
    Verdict.UNREAD: "Not all of it could be looked into",
    Verdict.MALFORMED: "It breaks the rules of its format",
    Verdict.SUSPICIOUS: "It reaches for more than a checkpoint needs",
    Verdict.MALICIOUS: "It attacks whoever loads it",
}
_STATES = {
    ScanState.SCANNED: ("scanned", ""),
    ScanState.QUEUED: ("queued", "Nobody scanned it yet"),
    ScanState.SCANNING: ("scanning", "It is being scanned now"),
    ScanState.FAILED: ("scan failed", "It could not be scanned"),
    ScanState.OFF: ("not scanned", "This repository is not scanned"),
}


@dataclass(frozen=True, slots=True)
class Badge:
    """A few words on how something stands; `is_held`: the hub gives it to nobody."""

    words: str
    css_class: str
    title: str
    is_held: bool = False


def badge_of(verdict: Verdict | None, state: ScanState = ScanState.QUEUED) -> Badge:
    """The badge of a file; `state` matters while there is no verdict."""
    if verdict is not None:
        return Badge(verdict.value, _CLASSES[verdict], _TITLES[verdict])
    words, title = _STATES[state]
    return Badge(words, "warn" if state is ScanState.FAILED else "", title)


def badge_of_revision(found: RevisionSecurity) -> Badge:
    """The badge of a revision: of its worst file, or that it is not known yet."""
    if found.verdict is None:
        waits = ScanState.OFF if found.policy is ScanPolicy.ALLOW else ScanState.QUEUED
        return badge_of(None, waits)
    count = found.count(found.verdict)
    badge = badge_of(found.verdict)
    if found.verdict is Verdict.CLEAN:
        return Badge("clean", badge.css_class, "Every file was read whole, and nothing was found")
    words = f"{plural(count, 'file')} {badge.words}"
    return Badge(words, badge.css_class, badge.title)


def sentence_of(found: RevisionSecurity) -> str:
    """What the verdict on a revision means, in a sentence."""
    waits = found.unscanned
    if found.verdict is None:
        if found.policy is ScanPolicy.ALLOW:
            return "This repository is not scanned: nobody here knows whether its files are safe."
        return f"{plural(waits, 'file')} not scanned yet: it is not known whether they are safe."
    if found.verdict is Verdict.CLEAN:
        return "Every file was read whole, and nothing that acts was found in any."
    more = f" {plural(waits, 'file')} not scanned yet." if waits else ""
    return f"{_SENTENCES[found.verdict]}{more}"


_SENTENCES = {
    Verdict.UNREAD: "Nothing bad was found, but not everything could be looked into.",
    Verdict.MALFORMED: "Some files break the rules of their format: loaders may see other content.",
    Verdict.SUSPICIOUS: "Some files reach for more than a checkpoint needs. Look before you load.",
    Verdict.MALICIOUS: "Some files attack whoever loads them. Do not load them.",
}


def consequence_of(verdict: Verdict | None, policy: ScanPolicy) -> str:
    """Who gets a file that stands so."""
    if policy is ScanPolicy.ALLOW:
        return "It is given out: this repository does not hold anything back."
    if policy is ScanPolicy.HOLD and verdict is None:
        return "Only who may write to the repository gets it before it is scanned."
    if verdict is Verdict.MALICIOUS and policy is ScanPolicy.HOLD:
        return "It is given out to nobody."
    if verdict in (Verdict.MALICIOUS, Verdict.SUSPICIOUS):
        return "It is given out with a warning that clients print."
    return "It is given out."


def repo_badge(visit: Visit, repo: RepoView) -> Badge | None:
    """The badge for the head of a repo's page; None where it is empty or very large."""
    if repo.revision is None:
        return None
    entries = visit.house.catalog.history.manifest(repo.revision.tree).entries
    if not 0 < len(entries) <= MAX_BADGE_FILES:
        return None
    default = releasing_of(visit.request).default
    return badge_of_revision(security_of(visit.house, repo.record, repo.revision, default))


def badges_of(visit: Visit, repo: RepoView, entries: list[Entry]) -> dict[str, Badge]:
    """The badges of some files, by path."""
    found = verdicts(visit.house, repo.record.uid, entries)
    policy = releasing_of(visit.request).policy_of(repo.record.uid)
    state = ScanState.OFF if policy is ScanPolicy.ALLOW else ScanState.QUEUED
    badges = {one.path: badge_of(found.get(one.path), state) for one in entries}
    if policy is not ScanPolicy.HOLD:
        return badges
    held = [path for path, verdict in found.items() if verdict is Verdict.MALICIOUS]
    return badges | {path: replace(badges[path], is_held=True) for path in held}


def security_page(repo: RepoView, path: str) -> str:
    """The address of what was found in a file."""
    return f"{repo.root}/security/{repo.here}/{path_url(path)}"


def place_of(finding: Finding) -> str:
    """Where something was found, for people."""
    return str(finding.place)
