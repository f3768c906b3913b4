"""Words in a drawing: one font, two inks, labels of bounded length, everything escaped."""

from html import escape

INK, SOFT = "#22252a", "#5d6166"
FONT = "DejaVu Sans, Verdana, sans-serif"
LABEL_CHARACTERS = 40


def cut(label: str) -> str:
    """A label that fits: its end, where it is too long, without control characters."""
    shown = "".join(c if c.isprintable() else "?" for c in label)
    return shown if len(shown) <= LABEL_CHARACTERS else f"…{shown[1 - LABEL_CHARACTERS :]}"


def text(
    x: float,
    y: float,
    words: str,
    *,
    size: int = 11,
    weight: int = 400,
    anchor: str = "start",
    extra: str = "",
) -> str:
    """An SVG text element; bold ones are in the darker ink.

    The class lets a page choose the colour; without one it is dark on light.
    """
    name, ink = ("ink", INK) if weight > 400 else ("soft", SOFT)
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" font-weight="{weight}"'
        f' text-anchor="{anchor}" class="{name}" fill="{ink}"{extra}>'
        f"{escape(words)}</text>"
    )
