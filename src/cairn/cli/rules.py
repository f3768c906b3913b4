"""`cairn rules`: which rules files are scanned by, and what each means."""

import click

from cairn.cli.console import print_json
from cairn.cli.options import as_json


@click.command()
@click.argument("name", required=False, help="The rule to explain, as reports have it.")
@as_json
def rules(name: str | None, as_json: bool) -> None:
    """List the rules files are scanned by, or explain one.

    Example: cairn rules pickle-imports
    """
    from cairn.scanner import RULES, rules_version
    from cairn.scanner.pages import page_of

    pages = [page_of(rule) for rule in (RULES if name is None else [RULES.get(name)])]
    if as_json:
        listed = [{"name": page.name, "title": page.title, "text": page.text} for page in pages]
        print_json({"rules_version": rules_version(), "rules": listed})
    elif name is None:
        for page in pages:
            click.echo(f"{click.style(f'{page.name:<24}', bold=True)} {page.title}")
    else:
        click.echo(f"{click.style(pages[0].title, bold=True)}\n\n{pages[0].text}")
