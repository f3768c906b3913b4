"""Receives a commit as NDJSON, one operation per line, and validates model cards.

Lines are handled as they come in: the bytes of a regular file are in the store before the
next line is read, so memory is bounded by the longest line, not by the commit.

    {"key":"header","value":{"summary":"...","description":"...","parentCommit":"<hex>"}}
    {"key":"file","value":{"path":"...","content":"<base64>","encoding":"base64"}}
    {"key":"lfsFile","value":{"path":"...","algo":"sha256","oid":"<64 hex>","size":123}}
    {"key":"deletedFile","value":{"path":"..."}}
    {"key":"deletedFolder","value":{"path":"..."}}
"""

import base64
import binascii
import re
from dataclasses import dataclass, field
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute

from cairn.catalog import Change, DeleteFile, DeleteFolder, PutFile, RepoRecord
from cairn.config import Settings
from cairn.domain import Digest, check_path
from cairn.errors import LimitError, MalformedError, NamingError, RequestError
from cairn.hub import threads
from cairn.hub.bodies import lines, parse_json, read_json, text_field
from cairn.hub.errors import header_text
from cairn.hub.hf.params import flag_of, repo_id_of
from cairn.hub.identity import actor_of, house_of
from cairn.hub.routing import RawRoute, api_route
from cairn.hub.urls import repo_url
from cairn.workflows.access import writable
from cairn.workflows.cards import parse_card
from cairn.workflows.commit import (
    MAX_CHANGES,
    Message,
    branch_ref,
    commit,
    put_large,
    put_regular,
)
from cairn.workflows.house import House

LINE_OVERHEAD_BYTES = 64 << 10  # path and JSON around a file's base64
_PARENT = re.compile(r"[0-9a-f]{5,40}\Z")


@dataclass
class _Draft:
    """What has been read of a commit so far."""

    house: House
    repo: RepoRecord
    settings: Settings
    message: Message | None = None
    changes: list[Change] = field(default_factory=list)

    def take(self, key: str, value: dict[str, Any], where: str) -> None:
        """Handle one line; runs in a thread, because files are stored here."""
        if key == "header":
            if self.message is not None or self.changes:
                raise MalformedError("the header comes once, as the first line", source=where)
            self.message = _message(value)
            return
        if self.message is None:
            raise MalformedError("the first line must be the header", source=where)
        if len(self.changes) >= MAX_CHANGES:
            raise LimitError(f"more than {MAX_CHANGES} operations", source=where)
        self.changes.append(self._change(key, value, where))

    def _change(self, key: str, value: dict[str, Any], where: str) -> Change:
        path = text_field(value, "path")
        if key == "file":
            return put_regular(self.house, check_path(path), self._content(value, where))
        if key == "lfsFile":
            return self._large(check_path(path), value, where)
        if key == "deletedFile":
            return DeleteFile(path.rstrip("/"))
        if key == "deletedFolder":
            return DeleteFolder(path)
        raise MalformedError(f"unknown key {key[:40]!r}", source=where)

    def _content(self, value: dict[str, Any], where: str) -> bytes:
        text = text_field(value, "content")
        encoding = value.get("encoding", "utf-8")
        if encoding == "utf-8":
            try:
                content = text.encode()
            except UnicodeEncodeError:
                raise MalformedError("the content is not valid Unicode", source=where) from None
        elif encoding == "base64":
            try:
                content = base64.b64decode(text, validate=True)
            except (binascii.Error, ValueError):
                raise MalformedError("the content is not valid base64", source=where) from None
        else:
            raise MalformedError(f"unknown encoding {encoding!r:.40}", source=where)
        if len(content) > self.settings.max_regular_file_bytes:
            raise LimitError(
                f"a regular file of {len(content)} bytes",
                source=where,
                hint="send it through LFS or Xet",
            )
        return content

    def _large(self, path: str, value: dict[str, Any], where: str) -> PutFile:
        if value.get("algo", "sha256") != "sha256":
            raise MalformedError("the only algo is sha256", source=where)
        size = value.get("size")
        if size is not None and (not isinstance(size, int) or isinstance(size, bool)):
            raise MalformedError("size must be a number of bytes", source=where)
        try:
            digest = Digest.sha256(text_field(value, "oid"))
        except NamingError as error:
            raise MalformedError(str(error), source=where) from None
        return put_large(self.house, self.repo, path, digest, size)


def _message(value: dict[str, Any]) -> Message:
    parent = value.get("parentCommit")
    if parent is not None and (not isinstance(parent, str) or not _PARENT.match(parent)):
        raise RequestError("parentCommit must be 5 to 40 lower-case hex digits of a commit id")
    # Clients send a message of several lines as the summary; git's title is its first line.
    title, _, rest = text_field(value, "summary").strip().partition("\n")
    description = text_field(value, "description", "")
    body = "\n\n".join(part for part in (rest.strip(), description) if part)
    return Message(title.rstrip(), body, parent)


async def post_commit(request: Request) -> Response:
    """Make a revision from the lines of the body."""
    actor = await actor_of(request)
    house, settings = house_of(request), request.app.state.settings
    repo_id, branch = repo_id_of(request), request.path_params["revision"]
    record = await threads.call(writable, house, actor, repo_id)
    await threads.call(branch_ref, house, record, branch)  # before a gigabyte is read for nothing
    draft = _Draft(house, record, settings)
    try:
        await _read(request, draft, settings)
    except NamingError as error:
        return _unprocessable(error)
    if draft.message is None:
        raise MalformedError("no header line", source="request body")
    done = await threads.call(
        commit,
        house,
        actor,
        repo_id,
        branch,
        draft.changes,
        draft.message,
        create_pr=flag_of(request, "create_pr"),
    )
    base = repo_url(request, done.repo.id)
    number = done.pull_request
    return JSONResponse(
        {
            "success": True,
            "commitOid": done.revision.id,
            "commitUrl": f"{base}/commit/{done.revision.id}",
            "pullRequestUrl": f"{base}/discussions/{number}" if number is not None else None,
            "hookOutput": "",
        }
    )


async def _read(request: Request, draft: _Draft, settings: Settings) -> None:
    line_limit = settings.max_regular_file_bytes * 4 // 3 + LINE_OVERHEAD_BYTES
    body_limit = settings.max_commit_body_bytes
    async for number, line in lines(request, line_limit_bytes=line_limit, limit_bytes=body_limit):
        where = f"line {number}"
        operation = await parse_json(line, where)
        key, value = operation.get("key"), operation.get("value")
        if not isinstance(key, str) or not isinstance(value, dict):
            raise MalformedError("want an object with 'key' and 'value'", source=where)
        await threads.call(draft.take, key, value, where)
        request.app.state.on_upload()


def _unprocessable(error: NamingError) -> Response:
    """422, the status the HF hub gives for paths that cannot be."""
    headers = {"X-Error-Code": "BadRequest", "X-Error-Message": header_text(str(error))}
    return JSONResponse({"error": str(error)}, 422, headers)


async def validate_yaml(request: Request) -> Response:
    """What is wrong with a card's front matter; 400 if anything is, which stops the commit."""
    body = await read_json(request)
    card = await threads.call(parse_card, text_field(body, "content"))
    shape = {
        "errors": [{"message": text} for text in card.errors],
        "warnings": [{"message": text} for text in card.warnings],
    }
    if not card.errors:
        return JSONResponse(shape)
    text = header_text("; ".join(card.errors))
    return JSONResponse(shape, 400, {"X-Error-Code": "BadRequest", "X-Error-Message": text})


routes: list[BaseRoute] = [
    api_route("/commit/{revision}", post_commit, "POST"),
    RawRoute("/api/validate-yaml", validate_yaml, ["POST"]),
]
