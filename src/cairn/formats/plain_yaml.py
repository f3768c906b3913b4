"""The plain settings in a YAML file: `key: value` lines, nested by indentation; no more of YAML.

Lists, flow collections, anchors, tags and text over several lines are passed over, so nothing is
ever put together from them. Specification: https://yaml.org/spec/1.2.2/.
"""

import re

from cairn.domain import Scalar
from cairn.formats.limits import MAX_METADATA_ITEMS, MAX_METADATA_KEY_CHARS

_LINE = re.compile(r"( {0,40})([A-Za-z_][\w.-]{0,100}):(?: +(.*?))?(?:\s+#.*)?\s*\Z")
_WORDS: dict[str, Scalar] = {"true": True, "false": False, "null": None, "~": None}
_INTEGER = re.compile(r"[-+]?[0-9]{1,18}\Z")
_FLOAT = re.compile(r"[-+]?(?:[0-9]{1,30}\.[0-9]{0,30}|\.?[0-9]{1,30})(?:[eE][-+]?[0-9]{1,3})?\Z")
_MAX_VALUE_CHARS = 500
_SPECIAL = ("&", "*", "!", "|", ">", "[", "{", "%", "@", "`")


def plain_settings(text: str) -> dict[str, Scalar]:
    """Settings by dotted key, in the order of the file."""
    found: dict[str, Scalar] = {}
    path: list[tuple[int, str]] = []
    for line in text.splitlines():
        match = _LINE.match(line[:1000])
        if match is None or len(found) >= MAX_METADATA_ITEMS:
            continue
        depth, key, value = len(match[1]), match[2], match[3]
        while path and path[-1][0] >= depth:
            path.pop()
        name = ".".join([*(step for _, step in path), key])[:MAX_METADATA_KEY_CHARS]
        if value:
            if not value.startswith(_SPECIAL):
                found[name] = _scalar(value)
        else:
            path.append((depth, key))
    return found


def _scalar(text: str) -> Scalar:
    if text.lower() in _WORDS:
        return _WORDS[text.lower()]
    if _INTEGER.match(text):
        return int(text)
    if _FLOAT.match(text):
        return float(text)
    if len(text) >= 2 and text[0] == text[-1] and text[0] in "'\"":
        text = text[1:-1]
    return text[:_MAX_VALUE_CHARS]
