"""The process an exact estimate is run in: a request as JSON comes in, an answer goes out.

{"config": {...}, "plan": {...}, "max_bytes": n}    on standard input
{"peak_bytes": n, "parts": {...}, ...}              on standard output,
{"refused": "why"} or {"missing": "what to install"} where it cannot be
"""

import json
import resource
import sys

from cairn.errors import CairnError, MissingExtraError
from cairn.training.exact.resident import peak_resident_bytes


def main() -> None:
    """Answer one request."""
    asked = json.load(sys.stdin)
    resource.setrlimit(resource.RLIMIT_AS, (asked["max_bytes"], asked["max_bytes"]))
    try:
        from cairn.training.exact.steps import run_plan

        told = run_plan(asked["config"], asked["plan"])
    except MissingExtraError as error:
        told = {"missing": str(error)}
    except CairnError as error:
        told = {"refused": str(error)}
    told["process_bytes"] = peak_resident_bytes()
    json.dump(told, sys.stdout)


if __name__ == "__main__":
    main()
