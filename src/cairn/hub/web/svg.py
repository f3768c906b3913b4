"""Charts as SVG text: bars drawn on the server, with a title and a description for readers.

No inline styles (the Content-Security-Policy forbids them): geometry is in attributes,
colours come from classes in cairn.css.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256

from markupsafe import Markup, escape

from cairn.hub.web.wording import bytes_text


@dataclass(frozen=True, slots=True)
class Part:
    """One coloured piece of a bar and its entry in the legend."""

    label: str
    value: int
    text: str
    css_class: str


def tag(name: str, *children: Markup, **attributes: str | float) -> Markup:
    """An element with escaped attributes."""
    written = "".join(f' {key}="{escape(value)}"' for key, value in attributes.items())
    return Markup(f"<{name}{written}>{''.join(children)}</{name}>")  # noqa: S704


def text_tag(name: str, words: str, **attributes: str | float) -> Markup:
    """An element that holds escaped text."""
    return tag(name, escape(words), **attributes)


def stacked_bar(parts: Sequence[Part], title: str, description: str) -> Markup:
    """One full-width bar whose pieces are as long as their values; gaps of a hair between."""
    total = sum(part.value for part in parts)
    at = 0.0
    pieces = []
    for part in parts:
        width = 1000 * part.value / total if total else 0.0
        rect = tag(
            "rect",
            text_tag("title", f"{part.label}: {part.text}"),
            x=round(at, 2),
            y=0,
            width=round(max(width - 2, 0.8), 2),
            height=20,
            **{"class": part.css_class},
        )
        pieces.append(rect)
        at += width
    return figure(pieces, title, description, view="0 0 1000 20", css_class="bar")


def pair_bar(logical_bytes: int, stored_bytes: int, title: str) -> Markup:
    """Two bars over each other: bytes given above, bytes kept below, on one scale."""
    scale = max(logical_bytes, stored_bytes, 1)
    rows = []
    for y, value, name in ((0, logical_bytes, "logical"), (18, stored_bytes, "stored")):
        rows.append(tag("rect", x=0, y=y, width=1000, height=14, **{"class": "track"}))
        width = round(1000 * value / scale, 2)
        label = text_tag("title", f"{name}: {bytes_text(value)}")
        rows.append(tag("rect", label, x=0, y=y, width=width, height=14, **{"class": name}))
    text = f"{bytes_text(logical_bytes)} of files, {bytes_text(stored_bytes)} on disk."
    return figure(rows, title, text, view="0 0 1000 32", css_class="pair")


def share_bar(value: int, whole: int, css_class: str = "stored") -> Markup:
    """A thin bar for a table cell; the cell's text says the number, so readers skip it."""
    width = round(100 * min(value, whole) / whole, 2) if whole > 0 else 0
    track = tag("rect", x=0, y=0, width=100, height=6, **{"class": "track"})
    bar = tag("rect", x=0, y=0, width=width, height=6, **{"class": css_class})
    attributes = {"class": "share", "aria-hidden": "true"}
    return tag("svg", track, bar, viewBox="0 0 100 6", preserveAspectRatio="none", **attributes)


@dataclass(frozen=True, slots=True)
class Step:
    """One revision on the growth chart: what all revisions up to it hold, and occupy."""

    label: str
    logical_bytes: int
    stored_bytes: int


def growth_chart(steps: Sequence[Step], title: str, description: str) -> Markup:
    """Columns per revision, oldest left: cumulated logical bytes behind, stored bytes in front."""
    width, height = 1000, 220
    top = max((step.logical_bytes for step in steps), default=0)
    top = max(top, *(step.stored_bytes for step in steps), 1)
    slot = width / max(len(steps), 1)
    column = min(slot * 0.72, 120.0)
    drawn = [
        tag("line", x1=0, y1=height, x2=width, y2=height, **{"class": "axis"}),
    ]
    for index, step in enumerate(steps):
        x = slot * index + (slot - column) / 2
        for value, name, inset in (
            (step.logical_bytes, "logical", 0.0),
            (step.stored_bytes, "stored", column * 0.14),
        ):
            tall = round((height - 12) * value / top, 1)
            label = text_tag("title", f"{step.label}: {name} {bytes_text(value)}")
            shape = {"x": round(x + inset, 1), "y": round(height - tall, 1)}
            size = {"width": round(column - 2 * inset, 1), "height": tall}
            drawn.append(tag("rect", label, **shape, **size, **{"class": name}))
    view = f"0 0 {width} {height + 2}"
    return figure(drawn, title, description, view=view, css_class="growth")


@dataclass(frozen=True, slots=True)
class Marks:
    """Values marked on an axis, all of one class."""

    css_class: str
    values: Sequence[float]


def score_strip(own: float, others: Sequence[Marks], title: str, description: str) -> Markup:
    """Ticks on one axis: those of others in rows below each other, and one's own through all."""
    values = [own, *(value for marks in others for value in marks.values)]
    low, high = min(values), max(values)
    room = 0.04 * ((high - low) or 1.0)
    low, high = low - room, high + room
    width, row = 1000, 22

    def at(value: float) -> float:
        return round(width * (value - low) / (high - low), 1)

    height = row * len(others)
    drawn = [tag("rect", x=0, y=0, width=width, height=height, **{"class": "track"})]
    for number, marks in enumerate(others):
        for value in marks.values:
            label = text_tag("title", f"{value:.2f}")
            place = {"x": at(value) - 1.5, "y": row * number + 3, "width": 3, "height": row - 6}
            drawn.append(tag("rect", label, **place, **{"class": marks.css_class}))
    label = text_tag("title", f"this model: {own:.2f}")
    drawn.append(tag("rect", label, x=at(own) - 4, y=0, width=8, height=height, **{"class": "own"}))
    return figure(drawn, title, description, view=f"0 0 {width} {height}", css_class="strip")


def figure(
    children: Sequence[Markup],
    title: str,
    description: str,
    *,
    view: str,
    css_class: str,
) -> Markup:
    """A drawing as wide as its place, with a title and a description for readers."""
    key = "chart-" + sha256(f"{title}\n{description}".encode()).hexdigest()[:8]
    head = (
        text_tag("title", title, id=f"{key}-title"),
        text_tag("desc", description, id=f"{key}-desc"),
    )
    attributes: dict[str, str | float] = {
        "viewBox": view,
        "class": f"chart {css_class}",
        "role": "img",
        "aria-labelledby": f"{key}-title {key}-desc",
        "preserveAspectRatio": "none",
    }
    return tag("svg", *head, *children, **attributes)
