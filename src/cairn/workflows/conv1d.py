"""Which matrices lie inputs first, as `Conv1D` of transformers keeps them, not outputs first.

In GPT-2 the layers of the blocks are `Conv1D`, the heads are linear layers
(https://github.com/huggingface/transformers/blob/main/src/transformers/models/gpt2/modeling_gpt2.py);
ports such as nanoGPT have linear layers under the same names. What makes queries, keys and values
at once tells them apart: it is wider than what goes into it.
"""

from collections.abc import Mapping

_FUSED = "c_attn.weight"
_NAMES = ("c_attn.weight", "q_attn.weight", "c_proj.weight", "c_fc.weight")


def conv1d_weights(shapes: Mapping[str, tuple[int, ...]]) -> frozenset[str]:
    """The names of weights that are (inputs, outputs); none where the model has no `Conv1D`."""
    if not any(n.endswith(_FUSED) and len(s) == 2 and s[0] < s[1] for n, s in shapes.items()):
        return frozenset()
    return frozenset(n for n, s in shapes.items() if n.endswith(_NAMES) and len(s) == 2)
