"""The option `--plot`, and how a drawing is written as SVG or as PNG."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from cairn.cli.console import err
from cairn.cli.options import LOCAL_PATH
from cairn.errors import RequestError

_SUFFIXES = (".svg", ".png")


def plot_file(words: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """The option: a file that can hold a drawing, or None."""
    return click.option("--plot", type=LOCAL_PATH, metavar="FILE", callback=_checked, help=words)


def _checked(ctx: click.Context, option: click.Parameter, path: Path | None) -> Path | None:
    """Refuse a file of another kind before any work is done."""
    del ctx, option
    if path is not None and path.suffix not in _SUFFIXES:
        raise RequestError(f"{path}: a plot is written as {' or '.join(_SUFFIXES)}")
    return path


def write_plot(svg: str, path: Path) -> None:
    """Write a drawing in the format that the file's name asks for."""
    if path.suffix == ".svg":
        path.write_text(svg)
    else:
        import resvg_py

        path.write_bytes(resvg_py.svg_to_bytes(svg_string=svg, zoom=2))
    err().print(f"wrote {path}")
