"""Which colour stands for what in charts: dtypes, roles and modules keep theirs everywhere."""

from collections.abc import Mapping

from cairn.domain import Role
from cairn.hub.web.svg import Part
from cairn.hub.web.wording import count_text

_DTYPE_TINTS = {
    "F32": 0, "BF16": 1, "F16": 2, "F64": 6, "I64": 7, "I32": 5, "U8": 4, "I8": 3,
    "F8_E4M3": 3, "F8_E5M2": 4, "BOOL": 7,
}  # fmt: skip
_ROLE_TINTS = {
    Role.WEIGHTS: 0,
    Role.OPTIMIZER: 3,
    Role.SCHEDULER: 1,
    Role.RNG: 4,
    Role.METADATA: 7,
    Role.BUFFERS: 2,
    Role.EMA: 6,
    Role.SCALER: 5,
    Role.DATA: 5,
    Role.TOKENIZER: 7,
    Role.CODE: 7,
}
TINTS = 8


def tint(number: int) -> str:
    """The CSS class of a colour by its place in the palette."""
    return f"stone-{number % TINTS}"


def dtype_parts(counts: Mapping[str, int]) -> list[Part]:
    """Element counts by dtype label as chart pieces, largest first."""
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return [
        Part(label, count, count_text(count), tint(_DTYPE_TINTS.get(label, 5)))
        for label, count in ordered
        if count
    ]


def role_tint(role: Role) -> str:
    """The CSS class of a role's colour."""
    return tint(_ROLE_TINTS[role])
