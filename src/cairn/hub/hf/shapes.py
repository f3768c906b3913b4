"""The JSON shapes HF clients expect for repos, files, directories and commits."""

import math
from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from typing import Any

from starlette.responses import JSONResponse

from cairn.catalog import RepoRecord
from cairn.domain import Directory, Entry, Manifest, RepoType, Revision, Verdict

Json = dict[str, Any]


class WireResponse(JSONResponse):
    """JSON that may carry what a stranger's card or config.json holds.

    Python's parser accepts numbers JSON does not have (NaN, Infinity) and halves of
    surrogate pairs, which no UTF-8 can hold; they are sent as null and as `?`.
    """

    def render(self, content: Any) -> bytes:
        """The body."""
        try:
            return super().render(content)
        except ValueError:
            return super().render(_sendable(content))


def _sendable(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    if isinstance(value, dict):
        return {_sendable(key): _sendable(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_sendable(item) for item in value]
    return value


# The words of the HF hub; what was not read is not called safe. huggingface_hub's own test is
# `status == "safe"`.
_STATUS = {
    None: "unscanned",
    Verdict.CLEAN: "safe",
    Verdict.UNREAD: "caution",
    Verdict.MALFORMED: "caution",
    Verdict.SUSPICIOUS: "suspicious",
    Verdict.MALICIOUS: "unsafe",
}


def file_security(verdict: Verdict | None) -> Json:
    """What a scan says of a file; None: none was made yet."""
    return {"status": _STATUS[verdict], "avScan": None, "pickleImportScan": None}


def repo_security(paths: Collection[str], verdicts: Mapping[str, Verdict]) -> Json:
    """What scans say of a revision's files: those that are not clean, by path."""
    issues = [
        {"path": path, "level": _STATUS[verdicts[path]]}
        for path in paths
        if verdicts.get(path, Verdict.CLEAN) is not Verdict.CLEAN
    ]
    return {"scansDone": all(path in verdicts for path in paths), "filesWithIssues": issues}


def timestamp(when: datetime) -> str:
    """A time as the HF hub writes it: UTC, milliseconds, `Z`."""
    return when.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.") + f"{when.microsecond // 1000:03d}Z"


def last_commit(revision: Revision) -> Json:
    """A commit in a tree listing."""
    title = revision.title
    return {"id": revision.id, "title": title, "date": timestamp(revision.created_at)}


def node(
    one: Entry | Directory,
    changed_by: Revision | None,
    verdict: Verdict | None,
    *,
    expand: bool,
) -> Json:
    """A file or directory in a tree listing; `verdict` is that of the file's scan."""
    if isinstance(one, Directory):
        shape: Json = {"type": "directory", "oid": one.oid, "size": 0, "path": one.path}
    else:
        shape = {"type": "file", "oid": one.oid, "size": one.blob.size_bytes, "path": one.path}
        if one.lfs:
            shape["lfs"] = {
                "oid": one.blob.digest.hex,
                "size": one.blob.size_bytes,
                "pointerSize": one.pointer_size_bytes,
            }
        if expand:
            shape["securityFileStatus"] = file_security(verdict)
    if expand:
        shape["lastCommit"] = last_commit(changed_by) if changed_by is not None else None
    return shape


def sibling(entry: Entry, *, blobs: bool) -> Json:
    """A file in a repo's description."""
    shape: Json = {"rfilename": entry.path}
    if blobs:
        shape |= {"size": entry.blob.size_bytes, "blobId": entry.oid}
        if entry.lfs:
            shape["lfs"] = {
                "sha256": entry.blob.digest.hex,
                "size": entry.blob.size_bytes,
                "pointerSize": entry.pointer_size_bytes,
            }
    return shape


def repo(record: RepoRecord) -> Json:
    """What is known of a repo without looking at its files: every key a listing may show."""
    shape: Json = {
        "_id": record.uid,
        "id": record.id.full_name,
        "author": record.id.namespace,
        "sha": record.head,
        "private": record.private,
        "gated": record.gated or False,
        "disabled": False,
        "createdAt": timestamp(record.created_at),
        "lastModified": timestamp(record.updated_at),
        "downloads": record.downloads,
        "downloadsAllTime": record.downloads,
        "likes": record.likes,
        "trendingScore": round(record.trending_score, 3),
        "tags": list(record.tags),
        "cardData": record.card,
        "usedStorage": record.size_bytes,
        "resourceGroup": None,
    }
    if record.id.type is RepoType.MODEL:
        shape |= {
            "modelId": record.id.full_name,
            "pipeline_tag": record.pipeline_tag,
            "library_name": record.library_name,
            "model-index": record.card.get("model-index"),
            "safetensors": safetensors(record),
        }
    if record.id.type is RepoType.SPACE:
        shape |= {"sdk": record.sdk, "subdomain": record.id.full_name.replace("/", "-").lower()}
    return shape


def safetensors(record: RepoRecord) -> Json | None:
    """Parameter counts, once the files were read and some are safetensors."""
    if not record.parameters or not any("safetensors" in name for name in record.formats):
        return None
    total = sum(record.parameters.values())
    return {"parameters": dict(record.parameters), "total": total}


def only(shape: Mapping[str, Any], keys: Collection[str]) -> Json:
    """The ids and the asked keys; keys that have no value are left out."""
    wanted = {"_id", "id", *keys}
    return {k: v for k, v in shape.items() if k in wanted and v is not None}


def files(manifest: Manifest, *, blobs: bool) -> list[Json]:
    """A revision's files, in path order."""
    return [sibling(entry, blobs=blobs) for entry in manifest.entries.values()]


def commit(revision: Revision, *, formatted: bool) -> Json:
    """A commit in a history."""
    shape: Json = {
        "id": revision.id,
        "title": revision.title,
        "message": revision.description,
        "authors": [{"user": revision.author}],
        "date": timestamp(revision.created_at),
    }
    if formatted:
        shape["formatted"] = {
            "title": _escape(revision.title),
            "message": _escape(revision.description),
        }
    return shape


def _escape(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
