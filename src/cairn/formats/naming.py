"""Texts from strangers made fit to be shown: valid Unicode, visible, of bounded length."""

import unicodedata


def printable(text: str, limit: int) -> str:
    """`text` without lone surrogates and cut to `limit` characters.

    Control characters stay: they are part of the name. Escaping for a terminal or a page
    is done where it is shown.
    """
    cut = text if len(text) <= limit else text[: limit - 1] + "…"
    if cut.isascii():
        return cut
    return cut.encode("utf-8", "backslashreplace").decode("utf-8")


def visible(text: str) -> str:
    """`text` with every character that a terminal or a reader would not show spelled out."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def is_deceptive(text: str) -> bool:
    """Whether `text` holds control, bidirectional or other invisible format characters."""
    if text.isascii():
        return not text.isprintable()
    return any(unicodedata.category(char) in ("Cc", "Cf", "Cs", "Co", "Cn") for char in text)
