"""The YAML between two lines of `---` at the head of a README.md, and the text after it.

https://huggingface.co/docs/hub/model-cards#model-card-metadata
"""

import re

from cairn.formats.limits import MAX_YAML_CHARS

_FRONT_MATTER = re.compile(r"\A\ufeff?\s*---[ \t]*\r?\n(.*?)(?:^(---)[ \t]*\r?$|\Z)", re.S | re.M)
_OPENED = re.compile(r"\A\ufeff?\s*---[ \t]*\r?\n")


def opens_front_matter(text: str) -> bool:
    """Whether the first line that is not empty is `---`."""
    return _OPENED.match(text) is not None


def front_matter(text: str) -> str | None:
    """What stands between the two lines; None if there are none or the second lies too far off."""
    found = _FRONT_MATTER.match(text[: MAX_YAML_CHARS + 16])
    return found[1] if found is not None and found[2] else None


def card_body(text: str) -> str:
    """The README without its front matter."""
    if front_matter(text) is None:
        return text
    found = _FRONT_MATTER.match(text)
    return text[found.end() :] if found else text
