"""Dotted names in settings that run code, start programs, or reach files and networks."""

from cairn.scanner.dangerous import danger_of


def runs_code(dotted: str) -> bool:
    """Whether what has this name could run anything, by the tables of dangerous modules.

    What is not in them is not thereby harmless.
    """
    path = dotted.replace(":", ".")
    if any(part.startswith("__") and part.endswith("__") for part in path.split(".")):
        return True
    danger = danger_of(path.rpartition(".")[0])
    return danger is not None and not danger.calls_only
