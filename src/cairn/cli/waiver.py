"""`cairn waiver`: findings that are let pass on the hub kept here."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cairn.cli.console import out, print_json, visible
from cairn.cli.kept_hub import open_hub
from cairn.cli.options import as_json, data_dir
from cairn.cli.revisions import OPERATOR
from cairn.cli.targets import parse_repo
from cairn.domain import Digest

if TYPE_CHECKING:
    from cairn.catalog import Waiver

MOST_LISTED = 1000

reason_option = click.option("--reason", required=True, help="Why; it is kept for good.")


@click.group(no_args_is_help=True)
def waiver() -> None:
    """Let pass what a rule finds in a file, and list and revoke that."""


@waiver.command()
@click.argument("sha256", help="Of the file, as its security page and `cairn scan --json` show it.")
@click.argument("rule", help="The rule whose findings are let pass.")
@click.option("--repo", help="Only in this repo, as org/name (default: wherever the file is).")
@click.option("--days", type=click.IntRange(min=1), help="End after so many days (default: never).")
@reason_option
@data_dir
def add(
    sha256: str, rule: str, repo: str | None, days: int | None, reason: str, data: Path | None
) -> None:
    """Let pass what a rule finds in a file. It is in the audit trail and the transparency log.

    cairn waiver add SHA256 pickle-imports --repo org/name --reason "our own class" --days 90
    """
    from cairn.workflows.waiving import waive

    ends = None if days is None else datetime.now(UTC) + timedelta(days=days)
    repo_id = None if repo is None else parse_repo(repo)
    digest = Digest.sha256(sha256.removeprefix("sha256:"))
    made = waive(open_hub(data), OPERATOR, repo_id, digest, rule, reason, ends)
    out().print(f"waiver {made.id}: {visible(_words(made))}")


@waiver.command()
@click.argument("number", type=int, help="The number of the waiver.")
@reason_option
@data_dir
def revoke(number: int, reason: str, data: Path | None) -> None:
    """Let findings count again; the waiver stays to be read."""
    from cairn.workflows.waiving import revoke as end

    done = end(open_hub(data), OPERATOR, number, reason)
    out().print(f"waiver {done.id} holds no more")


@waiver.command("list")
@data_dir
@as_json
def list_waivers(data: Path | None, as_json: bool) -> None:
    """List the waivers, the newest first, those that hold no more among them."""
    house = open_hub(data)
    waivers = house.catalog.waivers.newest(MOST_LISTED)
    if as_json:
        print_json([_plain(one) for one in waivers])
        return
    if not waivers:
        out().print("nothing is waived")
        return
    now = house.clock()
    for one in waivers:
        state = "holds" if one.is_live(now) else "over"
        out().print(visible(f"{one.id} {state}: {_words(one)}; {one.waived_by}: {one.reason}"))


def _words(one: "Waiver") -> str:
    where = f"in {one.repo}" if one.repo_uid else "everywhere"
    until = f" until {one.expires_at:%Y-%m-%d %H:%M} UTC" if one.expires_at else ""
    return f"{one.rule} in {one.digest.hex} {where}{until}"


def _plain(one: "Waiver") -> dict[str, Any]:
    def moment(at: datetime | None) -> str | None:
        return None if at is None else at.isoformat()

    return {
        "id": one.id,
        "sha256": one.digest.hex,
        "rule": one.rule,
        "repo": str(one.repo) if one.repo else one.repo_uid,
        "reason": one.reason,
        "waived_by": one.waived_by,
        "waived_at": moment(one.waived_at),
        "expires_at": moment(one.expires_at),
        "revoked_at": moment(one.revoked_at),
        "revoked_by": one.revoked_by,
        "revoke_reason": one.revoke_reason,
    }
