"""Dotted names that run code, start programs, or reach files and networks when called.

Only raises a verdict from suspicious to malicious: what is not here is not thereby harmless.
"""

_ROOTS = frozenset(
    (
        *("os", "posix", "nt", "subprocess", "sys", "pty", "shutil", "socket", "ctypes", "runpy"),
        *("importlib", "imp", "code", "codeop", "marshal", "pickle", "_pickle", "dill", "joblib"),
        *("cloudpickle", "shelve", "multiprocessing", "commands", "popen2", "platform", "pip"),
        *("urllib", "http", "ftplib", "smtplib", "requests", "httpx", "webbrowser", "pydoc"),
        *("operator", "functools", "types", "inspect", "pkgutil", "timeit", "cProfile", "profile"),
        *("asyncio", "threading", "signal", "tempfile", "pathlib", "io", "_io", "gc"),
    )
)
_BUILTINS = frozenset(("builtins", "__builtin__", "__builtins__"))
_FUNCTIONS = frozenset(
    (
        *("eval", "exec", "execfile", "compile", "open", "__import__", "getattr", "setattr"),
        *("delattr", "globals", "locals", "vars", "breakpoint", "input", "apply", "print"),
    )
)


def runs_code(dotted: str) -> bool:
    """Whether a call of the object under this name could run code or leave the process."""
    parts = dotted.replace(":", ".").split(".")
    if len(parts) > 1 and parts[0] in _BUILTINS:
        return parts[1] in _FUNCTIONS
    if any(part.startswith("__") and part not in ("__main__",) for part in parts):
        return True
    return (len(parts) > 1 and parts[0] in _ROOTS) or (len(parts) == 1 and parts[0] in _FUNCTIONS)
