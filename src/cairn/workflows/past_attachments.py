"""What a family file has of attachments: signatures and provenance that revisions had elsewhere.

Each is a member of its own. It is a stranger's word until it is compared with the files of its
revision here; trust in who signed it does not come along.
"""

import base64
import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from cairn.catalog import Attachment, RepoRecord
from cairn.domain import Digest, check_name, is_commit_id
from cairn.errors import CairnError, RequestError
from cairn.formats.strict_json import parse_json
from cairn.provenance.signing import MAX_BUNDLE_BYTES
from cairn.store import FamilyFile
from cairn.store.family_file import REPOS
from cairn.workflows.attaching import check_bundle
from cairn.workflows.browse import View
from cairn.workflows.house import House

MAX_MEMBER_BYTES = 4 * (MAX_BUNDLE_BYTES // 3 + 1) + 4096


@dataclass(frozen=True, slots=True)
class PastAttachment:
    """An attachment of a commit, with who sent it where it was, and when."""

    commit: str
    kept: Attachment


def attachment_key(number: int, n: int) -> str:
    """The member with an attachment of a repo."""
    return f"{REPOS}{number:04}/attachment-{n:06}.json"


def encode_attachments(house: House, number: int, uid: str) -> Iterator[tuple[str, bytes]]:
    """The attachments of a repo, as members."""
    for n, (commit, kept) in enumerate(house.catalog.attachments.all_of(uid)):
        said = {
            "commit": commit,
            "kind": kept.kind,
            "sender": kept.sender,
            "received_at": kept.received_at.isoformat(),
            "content": base64.b64encode(kept.content).decode(),
        }
        yield attachment_key(number, n), json.dumps(said, indent=1).encode() + b"\n"


def attachment_members(file: FamilyFile, number: int) -> list[str]:
    """The members of a repo that are attachments."""
    found: list[str] = []
    while file.objects.exists(key := attachment_key(number, len(found))):
        found.append(key)
    return found


def read_attachments(file: FamilyFile, number: int) -> Iterator[PastAttachment]:
    """The attachments of a repo; one is in memory at a time.

    Raises:
        UntrustedDataError: a member is not what it should be.
    """
    for key in attachment_members(file, number):
        said = parse_json(file.read(key, MAX_MEMBER_BYTES), file.source.name, what=key)
        try:
            found = _attachment(said)
        except (CairnError, KeyError, OverflowError, TypeError, ValueError) as error:
            raise file.malformed(f"it is no attachment: {error}", key) from None
        yield found


def attach_past(house: House, record: RepoRecord, past: PastAttachment) -> str:
    """Keep an attachment that came along, if it holds for the files here; else why not."""
    kept = past.kept
    try:
        view = View(record, house.catalog.history.resolve(record.uid, past.commit))
        kind = check_bundle(house, view, kept.content)
        if kind != kept.kind:
            raise RequestError(f"it is {kind}, not {kept.kind}")
        house.catalog.attachments.take(view.repo, view.revision.id, kept)
    except CairnError as error:
        return f"{kept.kind} of {past.commit} by {kept.sender}: {error}"
    return ""


def _attachment(said: Any) -> PastAttachment:
    content = base64.b64decode(said["content"], validate=True)
    commit, received_at = said["commit"], datetime.fromisoformat(said["received_at"])
    if not is_commit_id(commit) or received_at.tzinfo is None or len(content) > MAX_BUNDLE_BYTES:
        raise RequestError("its commit, time or size is none")
    kept = Attachment(
        kind=str(said["kind"]),
        digest=Digest.sha256(hashlib.sha256(content).hexdigest()),
        content=content,
        sender=check_name(said["sender"], "sender"),
        received_at=received_at.astimezone(UTC),
    )
    return PastAttachment(commit, kept)
