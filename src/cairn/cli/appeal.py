"""`cairn appeal`: what owners say against verdicts on the hub kept here, and the answers."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import click

from cairn.cli.console import out, print_json, visible
from cairn.cli.kept_hub import open_hub
from cairn.cli.options import as_json, data_dir
from cairn.cli.revisions import OPERATOR

MOST_LISTED = 1000

number_argument = click.argument("number", type=int, help="The number of the appeal.")
reason_option = click.option("--reason", required=True, help="Why; the owner reads it.")


@click.group(no_args_is_help=True)
def appeal() -> None:
    """List appeals against verdicts, and answer them."""


@appeal.command("list")
@click.option("--answered", is_flag=True, help="Those that were answered, the newest first.")
@data_dir
@as_json
def list_appeals(answered: bool, data: Path | None, as_json: bool) -> None:
    """List the appeals that wait, oldest first."""
    kept = open_hub(data).catalog.appeals
    found = kept.answered(MOST_LISTED) if answered else kept.open(MOST_LISTED)
    if as_json:
        print_json(
            [
                {
                    "id": one.id,
                    "repo": str(one.repo),
                    "path": one.path,
                    "sha256": one.blob.digest.hex,
                    "text": one.text,
                    "made_by": one.made_by,
                    "made_at": one.made_at.isoformat(),
                    "answer": one.answer,
                    "reason": one.reason,
                    "answered_by": one.answered_by,
                }
                for one in found
            ]
        )
        return
    if not found:
        out().print("no appeal was answered" if answered else "no appeal waits")
    for one in found:
        answer = f" [{one.answer}: {one.reason}]" if one.answer else ""
        out().print(visible(f"{one.id} {one.repo} {one.path}"))
        out().print(visible(f"   {one.made_by}: {one.text}{answer}"))


@appeal.command()
@number_argument
@reason_option
@data_dir
def uphold(number: int, reason: str, data: Path | None) -> None:
    """Answer that the verdict stands."""
    from cairn.workflows.appealing import uphold as answer

    answer(open_hub(data), OPERATOR, number, reason)
    out().print(f"appeal {number} is answered: the verdict stands")


@appeal.command()
@number_argument
@reason_option
@click.option("--days", type=click.IntRange(min=1), help="End after so many days (default: never).")
@data_dir
def waive(number: int, reason: str, days: int | None, data: Path | None) -> None:
    """Answer by letting pass, in that repo, all that is found in the file now."""
    from cairn.workflows.appealing import accept

    ends = None if days is None else datetime.now(UTC) + timedelta(days=days)
    accept(open_hub(data), OPERATOR, number, reason, ends)
    out().print(f"appeal {number} is answered: what was found is waived")
