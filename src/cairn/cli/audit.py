"""`cairn audit`: who did what on a hub, and when."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import click

from cairn.cli.console import out, print_json
from cairn.cli.kept_hub import open_hub
from cairn.cli.options import as_json, data_dir


@click.command()
@click.option("--actor", help="Only what this user did; `system` is the hub itself.")
@click.option("--action", help="Only this action (token.create), or all of a kind (token).")
@click.option("--repo", help="Only what was done to this repo, such as datasets/ann/set.")
@click.option("--days", type=click.FloatRange(min=0), help="Only the last so many days.")
@click.option(
    "--limit",
    type=click.IntRange(1, 1_000_000),
    default=100,
    show_default=True,
    help="At most so many, the newest.",
)
@data_dir
@as_json
def audit(
    actor: str | None,
    action: str | None,
    repo: str | None,
    days: float | None,
    limit: int,
    data: Path | None,
    as_json: bool,
) -> None:
    """List who did what: sign-ins, tokens, repos, quotas; newest first."""
    from rich.table import Table

    since = None if days is None else datetime.now(UTC) - timedelta(days=days)
    found = open_hub(data).catalog.audit.search(
        actor=actor, action=action, repo=repo, since=since, limit=limit
    )
    if as_json:
        print_json(
            [
                {
                    "at": row.at.isoformat(),
                    "actor": row.actor,
                    "action": row.action,
                    "repo": row.repo,
                    "detail": row.detail,
                }
                for row in found
            ]
        )
        return
    table = Table("when (UTC)", "who", "what", "repo", "detail")
    for row in found:
        at = row.at.strftime("%Y-%m-%d %H:%M:%S")
        table.add_row(at, row.actor, row.action, row.repo or "", row.detail)
    out().print(table)
