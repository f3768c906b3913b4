"""Which token a row of a table of words stands for, where a tokenizer lies beside the weights."""

from collections.abc import Mapping, Sequence

from cairn.errors import UntrustedDataError
from cairn.formats import Files
from cairn.formats.naming import printable
from cairn.workflows.setting_changes import TOKENIZERS, vocabulary

_MOST_LETTERS = 40


def row_names(files: Files, wanted: Mapping[str, Sequence[int]]) -> dict[str, dict[int, str]]:
    """Tokens by tensor and row; empty where no vocabulary can be read."""
    if not wanted:
        return {}
    tokens = _tokens(files)
    return {
        tensor: {row: tokens[row] for row in rows if row in tokens}
        for tensor, rows in wanted.items()
    }


def _tokens(files: Files) -> dict[int, str]:
    """Row to token of the first tokenizer that can be read."""
    for name in TOKENIZERS:
        for path in sorted(files, key=lambda path: (path.count("/"), path)):
            if path.rpartition("/")[2] != name:
                continue
            try:
                found, _ = vocabulary(files, path)
            except UntrustedDataError:
                continue
            return {
                number: printable(token, _MOST_LETTERS)
                for token, number in found.items()
                if isinstance(number, int)
            }
    return {}
