"""`cairn recall`: who has a blob that should not be loaded, and what was made from it."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from cairn.cli.console import out, print_ascii_json, visible
from cairn.cli.kept_hub import open_hub
from cairn.cli.options import as_json, data_dir

if TYPE_CHECKING:
    from cairn.workflows.recall import Recall

_SHOWN = 20
_LIMIT = 1_000


@click.command()
@click.argument("digest", metavar="DIGEST", required=False)
@click.option("--all", "everything", is_flag=True, help="All whose verdict became dangerous.")
@data_dir
@as_json
def recall(digest: str | None, everything: bool, data: Path | None, as_json: bool) -> None:
    """List every repo, revision and path that holds a blob, and what was made from these.

    DIGEST is the SHA-256 of any file. --all takes those that were judged better once and are
    suspicious or malicious now. Descendants are the models whose cards name such a repo as their
    base, and those made from them.

    Example: cairn recall --all --data cairn-data
    """
    from cairn.domain import Digest
    from cairn.errors import NamingError, RequestError
    from cairn.workflows.recall import plain_recall, standing_recalls
    from cairn.workflows.recall import recall as recall_one

    if (digest is None) is not everything:
        raise click.UsageError("give a DIGEST, or --all")
    house = open_hub(data)
    if digest is None:
        found = standing_recalls(house, _LIMIT)
    else:
        try:
            found = [recall_one(house, Digest.sha256(digest.lower()))]
        except NamingError:
            raise RequestError(f"{digest} is no SHA-256: give 64 hexadecimal digits") from None
    if as_json:
        print_ascii_json([plain_recall(one) for one in found])
        return
    for one in found:
        _print(one)
    if not found:
        click.echo("nothing that was judged better once is dangerous now")


def _print(recall: "Recall") -> None:
    names = ", ".join(recall.names)
    out().print(visible(f"{recall.digest.hex}  {recall.verdict.value}  {names}"))
    for change in recall.changes[:1]:
        before, after = change.before.value, change.after.value
        out().print(f"  {before} until {change.at:%Y-%m-%d %H:%M} UTC, {after} since")
    for finding in recall.findings[:_SHOWN]:
        out().print(visible(f"  {finding.message} [{finding.rule}]"))
    for held in recall.holdings:
        leading = ", ".join(name.removeprefix("refs/heads/") for name in held.refs)
        now = f"now in {leading}" if leading else "in none of today's branches and tags"
        count = len(held.revisions)
        revisions = "1 revision" if count == 1 else f"{count:,} revisions"
        out().print(visible(f"  in {held.repo}: {held.path}, {revisions}, {now}"))
        for commit in held.revisions[:_SHOWN]:
            out().print(f"      {commit}")
        if count > _SHOWN:
            out().print(f"      and {count - _SHOWN:,} more: --json lists them")
    if not recall.holdings:
        out().print("  no repo holds it any more")
    for made in recall.descendants:
        out().print(visible(f"  made from {made.base.full_name}: {made.repo.full_name}"))
