"""What sentence-transformers lays beside a model: from tokens to a vector of length 1.

`modules.json` names the modules in their order, with the folder of each one's configuration:
https://sbert.net/docs/sentence_transformer/usage/custom_models.html#structure-of-sentence-transformer-models
"""

import json
from pathlib import Path
from typing import Any

_MODULES = (("", "Transformer"), ("1_Pooling", "Pooling"), ("2_Normalize", "Normalize"))
_MODES = ("cls_token", "mean_tokens", "max_tokens", "mean_sqrt_len_tokens")


def describe_sentence_transformer(
    folder: Path, width: int, length: int, *, is_first_token: bool
) -> None:
    """Write it: vectors of `width` numbers from texts of up to `length` tokens."""
    modules = [
        {"idx": n, "name": str(n), "path": path, "type": f"sentence_transformers.models.{kind}"}
        for n, (path, kind) in enumerate(_MODULES)
    ]
    used = "cls_token" if is_first_token else "mean_tokens"
    modes = {f"pooling_mode_{mode}": mode == used for mode in _MODES}
    _write(folder / "modules.json", modules)
    _write(folder / "1_Pooling/config.json", {"word_embedding_dimension": width, **modes})
    _write(folder / "sentence_bert_config.json", {"max_seq_length": length, "do_lower_case": False})


def _write(path: Path, value: Any) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(value, indent=2) + "\n")
