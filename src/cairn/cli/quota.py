"""`cairn user quota` and `cairn org quota`: how much a namespace may keep, and does."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cairn.cli.console import human_bytes, out, print_json
from cairn.cli.kept_hub import open_hub
from cairn.cli.options import as_json, data_dir
from cairn.cli.quantities import parse_size
from cairn.domain import Measure
from cairn.errors import NotFoundError, RequestError

if TYPE_CHECKING:
    from cairn.workflows.house import House


@dataclass(frozen=True, slots=True)
class Limit:
    """A number of bytes; None: no limit, whatever the hub's default."""

    max_bytes: int | None


class LimitOrDefault(click.ParamType[Limit | None]):
    """`100GB`, `none`, or `default` (None here)."""

    name = "size|none|default"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> Limit | None:
        """See `click.ParamType.convert`."""
        del param, ctx
        if value == "default":
            return None
        try:
            return Limit(None if value == "none" else parse_size(str(value)))
        except RequestError:
            raise RequestError(f"{value!r} is not a limit; write 100GB, none or default") from None


def quota_command(*, of_organisations: bool) -> click.Command:
    """The command `quota` for users or for organisations."""
    kind = "organisation" if of_organisations else "user"
    group = "org" if of_organisations else "user"

    @click.command("quota")
    @click.argument("name", help=f"Name of the {kind}.")
    @_option("--logical", "Most bytes of different files in all revisions of all repos.")
    @_option("--stored", "Most bytes on disk, as counted last, at which files may be added.")
    @click.option("--count", is_flag=True, help="Count the bytes on disk now, for all namespaces.")
    @data_dir
    @as_json
    @click.pass_context
    def quota(
        ctx: click.Context,
        name: str,
        logical: Limit | None,
        stored: Limit | None,
        count: bool,
        data: Path | None,
        as_json: bool,
    ) -> None:
        house = open_hub(data)
        account = house.catalog.accounts.get(name)
        if account.is_org is not of_organisations:
            raise NotFoundError(f"{account.name} is not a{'n' * of_organisations} {kind}")
        for measure, limit in ((Measure.LOGICAL, logical), (Measure.STORED, stored)):
            if _is_given(ctx, measure):
                _set(house, account.name, measure, limit)
        if count:
            from cairn.workflows.namespace_stock import count_stored

            count_stored(house)
        _show(house, account.name, as_json=as_json)

    quota.help = (
        f"Show or set how much the repos of {'an' if of_organisations else 'a'} {kind} may keep."
        "\n\nWhat is not given stays. A namespace without a limit of its own has the hub's default"
        " (CAIRN_QUOTA_LOGICAL_BYTES, CAIRN_QUOTA_STORED_BYTES). Bytes on disk are counted every"
        " hour where they are limited."
        f"\n\n    cairn {group} quota NAME --logical 100GB --stored none"
    )
    return quota


def _option(name: str, words: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    return click.option(name, type=LimitOrDefault(), help=words)


def _is_given(ctx: click.Context, measure: Measure) -> bool:
    from click.core import ParameterSource

    return ctx.get_parameter_source(measure.value) is ParameterSource.COMMANDLINE


def _set(house: "House", name: str, measure: Measure, limit: Limit | None) -> None:
    if limit is None:
        house.catalog.quotas.reset(name, measure, None)
    else:
        house.catalog.quotas.limit(name, measure, limit.max_bytes, None)


def _show(house: "House", name: str, *, as_json: bool) -> None:
    from rich.table import Table

    from cairn.workflows.quotas import quota_of

    quota, usage = quota_of(house, name), house.catalog.quotas.usage(name)
    own = house.catalog.quotas.own(name)
    rows = {
        Measure.LOGICAL: (usage.logical_bytes, quota.logical_bytes),
        Measure.STORED: (usage.stored_bytes, quota.stored_bytes),
    }
    counted = usage.counted_at
    if as_json:
        shapes = {
            measure.value: {"used_bytes": used, "max_bytes": most, "is_default": measure not in own}
            for measure, (used, most) in rows.items()
        }
        when = None if counted is None else counted.isoformat()
        print_json({"name": name, **shapes, "stored_counted_at": when})
        return
    table = Table("", "has", "may have")
    for measure, (used, most) in rows.items():
        has = "not counted yet" if used is None else human_bytes(used)
        if measure is Measure.STORED and counted is not None:
            has += f" at {counted:%Y-%m-%d %H:%M} UTC"
        limit = "no limit" if most is None else human_bytes(most)
        table.add_row(measure.value, has, limit + ("" if measure in own else ", the hub's default"))
    out().print(table)
