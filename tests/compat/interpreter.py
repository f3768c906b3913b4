"""Runs inside a client's own Python: takes calls on standard input, answers on standard output.

One JSON object per line each way. Knows nothing of Cairn: only the installed, unmodified
huggingface_hub and what the caller sends. Works with every version there is to test.
"""

import base64
import datetime as dt
import enum
import importlib
import io
import json
import os
import pathlib
import sys
import traceback


def main():
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what a library prints must not look like an answer
    for line in sys.stdin:
        try:
            answer = {"result": plain(perform(json.loads(line)))}
        except BaseException as error:  # noqa: BLE001 - whatever it is, the caller is to see it
            answer = {"error": described(error)}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


def perform(call):
    positional = [real(value) for value in call["args"]]
    named = {key: real(value) for key, value in call["kwargs"].items()}
    if call["target"] == "function":
        namespace = {}
        exec(compile(call["source"], call["name"], "exec"), namespace)
        return namespace[call["name"]](*positional, **named)
    import huggingface_hub

    owners = {
        "api": huggingface_hub.HfApi,
        "fs": huggingface_hub.HfFileSystem,
        "hub": lambda token: huggingface_hub,
    }
    owner = owners[call["target"]](token=call["token"])
    if call["target"] == "fs":
        owner.invalidate_cache()
    return getattr(owner, call["name"])(*positional, **named)


def real(value):
    """What the caller meant by a JSON value."""
    if isinstance(value, list):
        return [real(one) for one in value]
    if not isinstance(value, dict):
        return value
    if "$bytes" in value:
        return base64.b64decode(value["$bytes"])
    if "$stream" in value:
        return io.BytesIO(base64.b64decode(value["$stream"]))
    if "$path" in value:
        return pathlib.Path(value["$path"])
    if "$make" in value:
        made = getattr(importlib.import_module("huggingface_hub"), value["$make"])
        return made(**{key: real(one) for key, one in value["kwargs"].items()})
    return {key: real(one) for key, one in value.items()}


def plain(value):
    """A JSON value for whatever a client returns; objects keep their fields."""
    if is_theirs(value):
        fields = {**(value if isinstance(value, dict) else {}), **vars(value)}
        return {"$object": type(value).__name__, "fields": plain(fields)}
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, str):
        return str(value)
    if isinstance(value, bytes):
        return {"$bytes": base64.b64encode(value).decode()}
    if isinstance(value, dict):
        return {str(key): plain(one) for key, one in value.items()}
    if isinstance(value, pathlib.PurePath):
        return str(value)
    if isinstance(value, dt.datetime):
        return {"$time": value.isoformat()}
    if hasattr(value, "__iter__"):
        return [plain(one) for one in value]
    return repr(value)


def is_theirs(value):
    """Whether it is an object with fields, of the client's own making."""
    if isinstance(value, enum.Enum | type) or not hasattr(value, "__dict__"):
        return False
    made_by = type(value).__module__.partition(".")[0]
    has_fields = hasattr(value, "__dataclass_fields__")
    return has_fields or (made_by == "huggingface_hub" and not isinstance(value, str))


def described(error):
    response = getattr(error, "response", None)
    return {
        "kinds": [kind.__name__ for kind in type(error).__mro__],
        "text": str(error),
        "status": getattr(response, "status_code", None),
        "code": None if response is None else response.headers.get("X-Error-Code"),
        "cause": None if error.__cause__ is None else type(error.__cause__).__name__,
        "trace": traceback.format_exc(),
    }


if __name__ == "__main__":
    main()
