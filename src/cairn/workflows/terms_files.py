"""Files that say under which terms a model may be used: they go with what is made of it.

Apache-2.0 (section 4), MIT, BSD and the licences that models bring of their own all ask that their
text and the notices go with every derivative.
"""

from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path

from cairn.workflows.local_files import leads_out
from cairn.workflows.written import replacing

_STEMS = ("license", "licence", "notice", "copying", "copyright", "use_policy", "usage_policy")
_TEXTS = (".txt", ".md", ".rst", ".pdf", ".html")


def _either_case(text: str) -> str:
    return "".join(f"[{c.upper()}{c}]" if c.isalpha() else c for c in text)


PATTERNS = tuple(
    f"{before}{_either_case(stem)}{after}"
    for stem in _STEMS
    for before, after in (("", ""), ("", "-*"), *(("*", f"*{ending}") for ending in _TEXTS))
)
"""Their names, for `fnmatch`."""


def is_terms_file(path: str) -> bool:
    """Whether it is at the top of a repo and named like a licence, a notice or a policy of use."""
    return "/" not in path and any(fnmatchcase(path, pattern) for pattern in PATTERNS)


def terms_files(folder: Path) -> Iterator[Path]:
    """Those at the top of a folder, by name; none that a link brings from elsewhere."""
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        if is_terms_file(path.name) and path.is_file() and not leads_out(path, folder):
            yield path


def copy_terms(base: Path, out: Path) -> list[str]:
    """Put those of `base` into `out`, each whole or not at all; returns their names."""
    names = []
    for path in terms_files(base):
        with path.open("rb") as source, replacing(out / path.name) as draft:
            while block := source.read(1 << 20):
                draft.write(block)
        names.append(path.name)
    return names
