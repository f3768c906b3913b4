"""What files without tensors are for: tokenizer, code, settings, scheduler and random states."""

from collections.abc import Iterable, Mapping

from cairn.domain import Layout, Role
from cairn.formats.roles import role_of_file

# File names of transformers' tokenizers (`*_VOCAB_FILES_NAMES` in its `tokenization_*.py`).
_TOKENIZER = frozenset(
    (
        *("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "vocab.json"),
        *("added_tokens.json", "vocab.txt", "merges.txt", "spiece.model", "tokenizer.model"),
        *("sentencepiece.bpe.model", "tekken.json", "chat_template.jinja", "chat_template.json"),
    )
)
_METADATA = frozenset(
    (
        *("config.json", "model_index.json", "adapter_config.json", "generation_config.json"),
        *("trainer_state.json", "preprocessor_config.json", "processor_config.json", "readme.md"),
        *("training_args.json", "all_results.json", "train_results.json", "hparams.yaml"),
        *("args.yaml", "config.yaml", "model_config.yaml", "modules.json"),
        *("scheduler_config.json", "quantize_config.json", "sentence_bert_config.json"),
    )
)
MAX_SIDE_FILES = 1000
"""Files named one by one; a checkpoint folder has some dozen."""


def side_files(paths: Iterable[str], layouts: Mapping[str, Layout]) -> dict[str, Role]:
    """The files whose purpose is known and that list no tensors, by path."""
    found: dict[str, Role] = {}
    for path in sorted(paths):
        layout = layouts.get(path)
        if layout is not None and layout.tensors:
            continue
        role = _role(path)
        if role is not None and len(found) < MAX_SIDE_FILES:
            found[path] = role
    return found


def _role(path: str) -> Role | None:
    name = path.rpartition("/")[2].lower()
    if name in _TOKENIZER:
        return Role.TOKENIZER
    if name in _METADATA:
        return Role.METADATA
    return Role.CODE if name.endswith(".py") else role_of_file(path)
