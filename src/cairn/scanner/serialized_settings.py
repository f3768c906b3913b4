"""Pickles in base64 that settings hold under `:serialized:`, which their loader unpickles.

Stable-Baselines3 writes what is no plain value so: `data_to_json` in
https://github.com/DLR-RM/stable-baselines3/blob/master/stable_baselines3/common/save_util.py.
"""

import base64
import binascii

from cairn.errors import MalformedError
from cairn.formats import BytesSource
from cairn.scanner.trace import Trace

SERIALIZED_KEY = ":serialized:"


def enter_serialized(text: str, pointer: str, trace: Trace) -> None:
    """Examine the pickle that a text spells, as if it were a file."""
    trace.spend(len(text))
    try:
        # What is no base64 is passed over, as `base64.b64decode` does for the loader.
        data = base64.b64decode(text)
    except (binascii.Error, ValueError):
        trace.refuse(MalformedError(f"{pointer} is not base64"))
        return
    trace.enter(pointer, BytesSource(data, pointer))
