"""Which files of four scanners' own test corpora are malicious, and which benign, by their tests.

Checkouts of https://github.com/mmaitre314/picklescan, protectai/modelscan, trailofbits/fickling
and promptfoo/modelaudit. The files of the second and third are made by `scanner_samples.py`.
"""

import re
from collections.abc import Iterator
from pathlib import Path

Corpus = list[tuple[Path, bool]]
"""Files, and whether they are malicious."""

# picklescan's test_scanner.py: what it finds safe or no pickle at all.
_PICKLESCAN_BENIGN = re.compile(
    r"(benign|int_array|object_array|pytorch_model|new_pytorch_model|not_a_pickle|bad_pytorch)"
)

# modelaudit's test_regression_corpus.py and the names that its generators give: what each is for.
_MODELAUDIT_MALICIOUS = re.compile(
    r"^(exploits/.*|pickles/[^/]*|samples/.*(malicious|nested_pickle|decode_exec|evil|obfuscated/"
    r"|shell_commands|script_injection|multiple_patterns|suspicious_url|obfuscated_metadata"
    r"|path_traversal|jinja2/tokenizer_config).*|scenarios/security_scenarios/.*\.pkl)$"
)
_MODELAUDIT_BENIGN = re.compile(
    r"^(samples/.*(safe_|benign|simple_nested|yaml/model_config).*"
    r"|scenarios/license_scenarios/.*)$"
)
_MODELAUDIT_ASSETS = "tests/assets"


def picklescan(checkout: Path) -> Corpus:
    """`tests/data` and `tests/data2`, by name."""
    return [
        (path, not _PICKLESCAN_BENIGN.match(path.name))
        for folder in ("data", "data2")
        for path in sorted((checkout / "tests" / folder).iterdir())
    ]


def made(folder: Path) -> Corpus:
    """What `scanner_samples.py` wrote, by folder."""
    return [
        (path, label == "malicious")
        for label in ("malicious", "benign")
        for path in sorted((folder / label).rglob("*"))
        if path.is_file()
    ]


def modelaudit(checkout: Path) -> Corpus:
    """`tests/assets`, by name; what says nothing, and generators, are left out."""
    return list(_modelaudit(checkout / _MODELAUDIT_ASSETS))


def _modelaudit(root: Path) -> Iterator[tuple[Path, bool]]:
    for path in sorted(root.rglob("*")):
        name = path.relative_to(root).as_posix()
        if not path.is_file() or name.startswith("generators/") or "bypass_pocs" in name:
            continue
        if _MODELAUDIT_MALICIOUS.match(name):
            yield path, True
        elif _MODELAUDIT_BENIGN.match(name):
            yield path, False
