"""Which files of a repo are large files (LFS) and which are regular, by name, size and content.

The default `.gitattributes` names the formats the Hugging Face hub treats as large.
"""

from cairn.workflows.patterns import MAX_PATTERNS, Budget, Pattern, parse_pattern

_LARGE_SUFFIXES = (
    "7z", "arrow", "bin", "bz2", "ckpt", "ftz", "gz", "h5", "joblib", "lfs.*", "mlmodel", "model",
    "msgpack", "npy", "npz", "onnx", "ot", "parquet", "pb", "pickle", "pkl", "pt", "pth", "rar",
    "safetensors", "tar.*", "tar", "tflite", "tgz", "wasm", "xz", "zip", "zst",
)  # fmt: skip
_LARGE_NAMES = ("saved_model/**/*", "*tfevents*")

DEFAULT_GITATTRIBUTES = "".join(
    f"{pattern} filter=lfs diff=lfs merge=lfs -text\n"
    for pattern in sorted([*(f"*.{suffix}" for suffix in _LARGE_SUFFIXES), *_LARGE_NAMES])
)


class LargeFileRules:
    """The `filter` attributes of a `.gitattributes`: the last line that matches decides."""

    def __init__(self, text: str, budget: Budget) -> None:
        self._budget = budget
        self._rules: list[tuple[Pattern, bool]] = []
        for line in text.splitlines()[:MAX_PATTERNS]:
            name, *attributes = line.split()[:64] or [""]
            pattern = parse_pattern(name)
            large = _large_by(attributes)
            # Negative patterns are forbidden in attributes files (gitattributes(5)).
            if pattern is not None and not pattern.negated and large is not None:
                self._rules.append((pattern, large))

    def names(self, path: str) -> bool:
        """Whether a file is large by its name."""
        for pattern, large in reversed(self._rules):
            if pattern.matches(path, self._budget, is_folder=False):
                return large
        return False


def _large_by(attributes: list[str]) -> bool | None:
    verdict = None
    for attribute in attributes:
        if attribute == "filter=lfs":
            verdict = True
        elif attribute in ("-filter", "!filter") or attribute.startswith("filter="):
            verdict = False
    return verdict


def looks_binary(sample: bytes) -> bool:
    """Whether the first bytes of a file are no text: a NUL, or not UTF-8.

    A multi-byte character cut off by the end of the sample is not held against it.
    """
    if b"\x00" in sample:
        return True
    try:
        sample.decode()
    except UnicodeDecodeError as error:
        return error.end < len(sample) or len(sample) - error.start >= 4
    return False
