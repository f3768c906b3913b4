"""How commands list damaged blobs."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from cairn.cli.console import out, visible

if TYPE_CHECKING:
    from cairn.workflows.damage import Damage


def print_damage(word: str, damaged: "Iterable[Damage]", style: str = "red") -> None:
    """A line for each blob, and one for each file that it is and each place that lacks it too."""
    for damage in damaged:
        out().print(f"{word} {damage.digest.hex}: {visible(damage.reason)}", style=style)
        for place in (*damage.locations, *damage.names):
            out().print(f"  {visible(str(place))}")
        if not damage.locations and not damage.names:
            out().print("  no revision needs it")
        for answer in damage.tried:
            out().print(f"  not from {visible(answer)}")
