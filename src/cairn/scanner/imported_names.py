"""How bad it is that a pickle imports or calls a name: nothing here looks at the name's code.

What the tables in `allowed` list is harmless whatever it is called with. Everything else is
suspicious; malicious where Python would walk attributes to it, and where the tables in
`dangerous` say so.
"""

import re
from typing import NamedTuple

from cairn.domain import Verdict
from cairn.scanner.allowed import allowed_names, limited_calls
from cairn.scanner.dangerous import Danger, danger_of

_UNPICKLING_HELPER = re.compile(
    r"_*(re)?(build|construct|unpickle|restore)|_*new_|__pyx_unpickle_|.*_ctor\Z"
)

_SCRIPT_MODULE = re.compile(r"__torch__(\.[A-Za-z0-9_]+)*")


class Risk(NamedTuple):
    """A verdict on a name, and why."""

    verdict: Verdict
    reason: str


_UNKNOWN = Risk(Verdict.SUSPICIOUS, "is not a name that checkpoints are known to need")
_NOT_CALLED = Risk(Verdict.SUSPICIOUS, "is a type that checkpoints name and do not call like this")
_EMPTY = ("NEWOBJ", "NEWOBJ_EX")
_UNFOLLOWED = Risk(Verdict.MALICIOUS, "unpickles bytes that the pickle first computes")
_COMPUTED = Risk(Verdict.MALICIOUS, "is put together when the pickle runs, which only hides it")
_WALKED = Risk(Verdict.MALICIOUS, "walks from object to object, past any list of names")


def risk_of_import(
    module: str, name: str, *, exact: bool = True, of_script: bool = False
) -> Risk | None:
    """The risk of importing a name; None if it is on the list.

    `exact`: not computed. `of_script`: by a member of a TorchScript archive, whose loader finds
    the classes of `__torch__` in the archive itself.
    """
    if not exact:
        return _COMPUTED
    if (module, name) in allowed_names() or (of_script and _SCRIPT_MODULE.fullmatch(module)):
        return None
    if _walks(module, name):
        return _WALKED
    danger = danger_of(module)
    return _malicious(danger) if danger and not danger.calls_only else _UNKNOWN


def risk_of_call(
    module: str,
    name: str,
    via: str = "REDUCE",
    *,
    of_script: bool = False,
    followed: bool = False,
) -> Risk | None:
    """The risk of calling a name that is imported exactly; None if it is on the list.

    `via` is the opcode: NEWOBJ makes an object without running its class's constructor.
    `followed`: what it unpickles was examined as well.
    """
    risk = risk_of_import(module, name, of_script=of_script)
    limit = limited_calls().get((module, name))
    if limit == "followed":
        return None if followed else _UNFOLLOWED
    if risk is None and limit is not None and (limit == "none" or via not in _EMPTY):
        return _NOT_CALLED
    if risk is not _UNKNOWN or _is_class(name) or _UNPICKLING_HELPER.match(name):
        return risk
    danger = danger_of(module)
    return _malicious(danger) if danger else _UNKNOWN


def _malicious(danger: Danger) -> Risk:
    return Risk(Verdict.MALICIOUS, f"{danger.reason}; no checkpoint needs it")


def _walks(module: str, name: str) -> bool:
    """A dotted or double-underscore name; classes inside classes are spelled with dots as well."""
    parts = [*module.split("."), *name.split(".")]
    if any(part.startswith("__") and part.endswith("__") for part in parts[1:]):
        return True
    return "." in name and not all(map(_is_class, name.split(".")))


def _is_class(name: str) -> bool:
    return name.lstrip("_")[:1].isupper()
