"""`cairn access`: who may read the gated repos of the hub kept here."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cairn.cli.console import out, print_json, visible
from cairn.cli.kept_hub import open_hub
from cairn.cli.options import OneOf, as_json, data_dir
from cairn.cli.revisions import OPERATOR
from cairn.cli.targets import parse_repo
from cairn.domain import AccessState

if TYPE_CHECKING:
    from cairn.catalog import AccessRequest

MOST_LISTED = 10_000

repo_argument = click.argument("repo", help="The gated repo, as org/name or datasets/org/name.")
user_argument = click.argument("user", help="The person's user name.")


@click.group(no_args_is_help=True)
def access() -> None:
    """List who asked for and has access to gated repos, and decide about it."""


@access.command("list")
@repo_argument
@click.option(
    "--state",
    type=OneOf(AccessState),
    help="Only those that wait, were accepted or were rejected (default: all).",
)
@data_dir
@as_json
def list_requests(repo: str, state: AccessState | None, data: Path | None, as_json: bool) -> None:
    """List who asked and what became of it, those that wait first."""
    from cairn.workflows.gate import decidable

    house = open_hub(data)
    record = decidable(house, OPERATOR, parse_repo(repo))
    kept = house.catalog.access_requests
    states = AccessState if state is None else [state]
    found = [one for each in states for one in kept.listed(record.uid, each, MOST_LISTED)]
    if as_json:
        print_json([_plain(one) for one in found])
        return
    if not found:
        out().print("nobody asked, and nobody was let in")
    for one in found:
        out().print(visible(_line(one)))


@access.command()
@repo_argument
@user_argument
@data_dir
@as_json
def grant(repo: str, user: str, data: Path | None, as_json: bool) -> None:
    """Let in a person who need not have asked."""
    from cairn.workflows.gate import grant as let_in

    _show(let_in(open_hub(data), OPERATOR, parse_repo(repo), user), repo, as_json)


@access.command()
@repo_argument
@user_argument
@data_dir
@as_json
def accept(repo: str, user: str, data: Path | None, as_json: bool) -> None:
    """Let in a person who asked."""
    _decide(repo, user, AccessState.ACCEPTED, "", data, as_json)


@access.command()
@repo_argument
@user_argument
@click.option("--reason", default="", help="Why; the person reads it.")
@data_dir
@as_json
def reject(repo: str, user: str, reason: str, data: Path | None, as_json: bool) -> None:
    """Turn a person away; who is within is out at once, and cannot ask again."""
    _decide(repo, user, AccessState.REJECTED, reason, data, as_json)


@access.command()
@repo_argument
@user_argument
@data_dir
@as_json
def revoke(repo: str, user: str, data: Path | None, as_json: bool) -> None:
    """Take back what was decided: who is within is out at once, and the request waits again."""
    _decide(repo, user, AccessState.PENDING, "", data, as_json)


def _decide(
    repo: str, user: str, state: AccessState, reason: str, data: Path | None, as_json: bool
) -> None:
    from cairn.workflows.gate import decide

    done = decide(open_hub(data), OPERATOR, parse_repo(repo), user, state, reason)
    _show(done, repo, as_json)


def _show(done: "AccessRequest", repo: str, as_json: bool) -> None:
    if as_json:
        print_json(_plain(done))
    else:
        out().print(visible(f"{repo}: {_line(done)}"))


def _line(one: "AccessRequest") -> str:
    asked = "asked" if one.was_asked else "was let in unasked"
    by = f"; {one.decided_by} {one.decided_at:%Y-%m-%d %H:%M}" if one.decided_at else ""
    why = f": {one.reason}" if one.reason else ""
    name = one.person.name
    return f"{name} {one.state.value}, {asked} {one.asked_at:%Y-%m-%d %H:%M}{by}{why}"


def _plain(one: "AccessRequest") -> dict[str, Any]:
    return {
        "id": one.uid,
        "user": one.person.name,
        "full_name": one.person.full_name,
        "email": one.person.email if one.was_asked else None,
        "state": one.state.value,
        "was_asked": one.was_asked,
        "asked_at": one.asked_at.isoformat(),
        "message": one.message,
        "answers": one.answers,
        "decided_by": one.decided_by,
        "decided_at": None if one.decided_at is None else one.decided_at.isoformat(),
        "reason": one.reason,
    }
