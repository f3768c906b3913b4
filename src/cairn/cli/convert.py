"""`cairn convert`: any checkpoint as safetensors."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cairn.cli.console import byte_progress, err, human_bytes, out, print_json, visible
from cairn.cli.options import LOCAL_PATH, OneOf, as_json, data_dir
from cairn.cli.quantities import ByteCount
from cairn.cli.targets import read_target
from cairn.domain import DType, Role
from cairn.errors import RequestError

if TYPE_CHECKING:
    from cairn.workflows.convert import Conversion

SUFFIX = ".safetensors"
OTHER_FORMATS = frozenset(
    (".bin", ".pt", ".pth", ".ckpt", ".gguf", ".onnx", ".npz", ".h5", ".keras", ".msgpack")
)
"""Endings that ask for a format convert does not write; a folder is not called so by intent."""

_SHOWN = 5


class Numbers(StrEnum):
    """What quantised tensors may become."""

    F16 = "F16"
    F32 = "F32"


@click.command()
@click.argument(
    "source", metavar="IN", help="A file, a folder, or a repo of this hub: org/name@revision."
)
@click.argument(
    "target",
    metavar="OUT",
    type=LOCAL_PATH,
    help="A file ending in .safetensors, or a folder that also gets the configuration.",
)
@click.option(
    "--role",
    "roles",
    type=OneOf(Role),
    metavar="ROLE",
    multiple=True,
    help=f"Write tensors of this role: {', '.join(r.value for r in Role)}. May be repeated;"
    " the default is weights and buffers.",
)
@click.option("--all", "every_role", is_flag=True, help="Write tensors of every role.")
@click.option(
    "--exclude",
    metavar="GLOB",
    multiple=True,
    help="Leave out tensors whose name in the source matches this glob.",
)
@click.option(
    "--strip", default="", help="Take this prefix off names that have it, such as `module`."
)
@click.option("--prefix", default="", help="Put this prefix before every name.")
@click.option(
    "--drop-repeats", is_flag=True, help="Write tied tensors once; the metadata names the others."
)
@click.option(
    "--dequantise", type=OneOf(Numbers), help="Write quantised tensors of GGUF files as numbers."
)
@click.option("--shard-size", type=ByteCount(), help="Most bytes of a file, such as 5GB.")
@click.option("--verify", is_flag=True, help="Compare every value written with its source.")
@click.option("--force", is_flag=True, help="Overwrite files that are there.")
@data_dir
@as_json
def convert(
    source: str,
    target: Path,
    roles: tuple[Role, ...],
    every_role: bool,
    exclude: tuple[str, ...],
    strip: str,
    prefix: str,
    drop_repeats: bool,
    dequantise: Numbers | None,
    shard_size: int | None,
    verify: bool,
    force: bool,
    data: Path | None,
    as_json: bool,
) -> None:
    """Write the weights of any checkpoint as safetensors. Nothing in the file is run.

    Names are those that the framework's load_state_dict expects. A file appears under its name
    only when it is complete.
    """
    from cairn.workflows import convert as verb
    from cairn.workflows.state_dicts import DEFAULT_ROLES

    found, label = read_target(source, data)
    choice = verb.Choice(
        roles=tuple(Role) if every_role else roles or tuple(DEFAULT_ROLES),
        exclude=exclude,
        strip=strip,
        prefix=prefix,
        drop_repeats=drop_repeats,
        shard_bytes=shard_size,
        dequantise=None if dequantise is None else DType[dequantise.value],
    )
    whole_folder = target.suffix != SUFFIX
    if target.suffix.lower() in OTHER_FORMATS and not target.is_dir():
        raise RequestError(
            f"{target}: only safetensors is written; OUT ends in {SUFFIX}, or is a folder"
        )
    folder = target if whole_folder else target.parent
    name = verb.usual_name(found) if whole_folder else target.name
    conversion = verb.plan(found, name, choice, label)
    total = conversion.size_bytes * (2 if verify else 1)
    if whole_folder:
        folder.mkdir(exist_ok=True)
    with byte_progress("converting", total) as progress:
        paths = verb.write(
            conversion,
            found.files,
            folder,
            beside=verb.companions(found) if whole_folder else {},
            force=force,
            compare=verify,
            progress=progress,
        )
    if as_json:
        print_json(_described(conversion, paths, verified=verify))
    else:
        _print(conversion, paths, verified=verify)


def _described(conversion: "Conversion", paths: list[Path], *, verified: bool) -> dict[str, Any]:
    state = conversion.state
    return {
        "schema": 1,
        "written": [str(path) for path in paths],
        "tensors": len(state.tensors),
        "size_bytes": conversion.size_bytes,
        "left_out": list(state.left_out),
        "dropped": dict(state.dropped),
        "other_files": list(conversion.others),
        "verified": "values" if verified else "headers",
    }


def _print(conversion: "Conversion", paths: list[Path], *, verified: bool) -> None:
    console, state = out(), conversion.state
    checked = "every value compared" if verified else "headers read back"
    count = f"{len(state.tensors):,} tensor{'s' * (len(state.tensors) != 1)}"
    console.print(f"{count}, {human_bytes(conversion.size_bytes)}, {checked}")
    for path in paths:
        console.print(visible(str(path)))
    for what, names in (
        ("left out", state.left_out),
        ("dropped, the same as another", tuple(state.dropped)),
        ("not part of it", conversion.others),
    ):
        if names:
            rest = f" and {len(names) - _SHOWN:,} more" if len(names) > _SHOWN else ""
            shown = ", ".join(visible(name) for name in names[:_SHOWN])
            err().print(f"[yellow]note[/yellow] {what}: {shown}{rest}")
