"""The repeated blocks of a transformer, found by the names and shapes of its weights."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from cairn.estimation.subject import Shape, Subject, is_embedding
from cairn.formats.limits import MAX_INDEX_DIGITS

# The spellings of transformers, timm, Meta and GGUF, the more special ones first.
_QUERY = ("q_proj", "query", "q_lin", "wq", "attn_q", "to_q", "q")
_KEY = ("k_proj", "key", "k_lin", "wk", "attn_k", "to_k", "k")
_VALUE = ("v_proj", "value", "v_lin", "wv", "attn_v", "to_v", "v")
_FUSED = ("c_attn", "query_key_value", "qkv_proj", "Wqkv", "attn_qkv", "W_pack", "qkv")
_OUT = (
    *("o_proj", "out_proj", "out_lin", "attn.c_proj", "attention.output.dense", "attn_output"),
    *("self_attention.dense", "attention.dense", "self_attn.dense", "attention.wo", "attn.proj"),
    *("attention.o", "SelfAttention.o", "EncDecAttention.o", "to_out.0"),
)
_GATE_UP = ("gate_up_proj",)
_GATE = ("gate_proj", "wi_0", "w1", "ffn_gate")
_UP = (
    *("up_proj", "wi_1", "w3", "ffn_up", "fc1", "lin1", "c_fc", "intermediate.dense", "fc_in"),
    *("dense_h_to_4h", "intermediate_dense", "wi"),
)
_DOWN = (
    *("down_proj", "DenseReluDense.wo", "w2", "ffn_down", "fc2", "lin2", "mlp.c_proj", "fc_out"),
    *("dense_4h_to_h", "output_dense", "output.dense"),
)
_CROSS = ("encoder_attn.", "EncDecAttention.", "crossattention.", "attn2.")
_EXPERTS = ("experts.", "_exps")


@dataclass(frozen=True, slots=True)
class Product:
    """A matrix product with a weight: the module's own name, and how wide what goes in and out."""

    name: str
    inputs: int
    outputs: int


@dataclass(frozen=True, slots=True)
class AttentionPart:
    """The products around one attention; one projection where queries, keys, values are fused."""

    projections: tuple[Product, ...]
    out: Product
    inner: int
    key_inner: int


@dataclass(frozen=True, slots=True)
class Stack:
    """Blocks that are alike: `count` of them below `prefix`, the weights of one by their names.

    `norms` are name and width of each norm's weight; those that divide by a root mean square have
    no bias and are not `centred`. Of the feed-forward part, `gate` is put through the activation
    function and multiplied with `up`; `gate_up` is both in one.
    """

    prefix: str
    count: int
    weights: Mapping[str, Shape]
    experts: int
    attention: AttentionPart
    cross_attention: AttentionPart | None
    norms: tuple[tuple[str, int], ...]
    has_centred_norms: bool
    gate: Product | None
    gate_up: Product | None
    up: Product | None
    down: Product | None


def stacks(subject: Subject) -> list[Stack]:
    """The stacks with attention in them, in the order of the file."""
    by_prefix: dict[str, dict[str, dict[str, Shape]]] = {}
    for name, shape in subject.tensors.items():
        prefix, number, rest = _split(name)
        if number and not is_embedding(name):
            by_prefix.setdefault(prefix, {}).setdefault(number, {})[rest] = shape
    found = []
    for prefix, blocks in by_prefix.items():
        weights = max(blocks.values(), key=len)
        shared, experts = _without_other_experts(weights)
        own = _attention({n: s for n, s in shared.items() if not _is_cross(n)})
        if own is not None:
            found.append(_stack(prefix, len(blocks), shared, experts, own))
    return found


def _stack(
    prefix: str, count: int, weights: Mapping[str, Shape], experts: int, own: AttentionPart
) -> Stack:
    norms = [
        (name, shape[0])
        for name, shape in weights.items()
        if len(shape) == 1 and name.endswith("weight")
    ]
    outside = {n: s for n, s in weights.items() if "attention" not in n.lower()}
    return Stack(
        prefix=prefix,
        count=count,
        weights=weights,
        experts=experts,
        attention=own,
        cross_attention=_attention({n: s for n, s in weights.items() if _is_cross(n)}),
        norms=tuple(norms),
        has_centred_norms=any(f"{n.removesuffix('weight')}bias" in weights for n, _ in norms),
        gate=_product(weights, _GATE),
        gate_up=_product(weights, _GATE_UP),
        up=_product(weights, _UP),
        down=_product(outside, _DOWN),
    )


def _split(name: str) -> tuple[str, str, str]:
    """What is before, in, and after the first number of a name."""
    segments = name.split(".")
    for at, segment in enumerate(segments[:-1]):
        if segment.isdecimal() and segment.isascii() and len(segment) <= MAX_INDEX_DIGITS:
            return ".".join(segments[:at]), segment, ".".join(segments[at + 1 :])
    return name, "", ""


def _without_other_experts(weights: Mapping[str, Shape]) -> tuple[dict[str, Shape], int]:
    """The weights with the first expert's alone, and how many experts there are."""
    kept: dict[str, Shape] = {}
    numbers: set[str] = set()
    for name, shape in weights.items():
        before, found, after = name.partition("experts.")
        number, _, rest = after.partition(".")
        if found and number.isdecimal():
            numbers.add(number)
            kept.setdefault(f"{before}experts.{rest}", shape)
        elif any(word in name for word in _EXPERTS) and len(shape) == 3:
            numbers |= {str(at) for at in range(min(shape[0], 4096))}
            kept[f"{name.removesuffix('.weight')}.weight"] = shape[1:]
        else:
            kept[name] = shape
    return kept, len(numbers)


def _is_cross(name: str) -> bool:
    return any(word in name for word in _CROSS)


def _modules(weights: Mapping[str, Shape]) -> Iterator[tuple[str, Shape]]:
    for name, shape in weights.items():
        if name.endswith(".weight") and len(shape) == 2:
            yield name.removesuffix(".weight"), shape


def _product(weights: Mapping[str, Shape], endings: tuple[str, ...]) -> Product | None:
    for ending in endings:
        for name, shape in _modules(weights):
            if f".{name}".endswith(f".{ending}"):
                # `Conv1D` of GPT-2 keeps what goes in first, a linear layer last.
                is_input_first = name.rpartition(".")[2] in ("c_attn", "c_fc", "c_proj")
                inputs, outputs = shape if is_input_first else shape[::-1]
                return Product(name.rpartition(".")[2], inputs, outputs)
    return None


def _attention(weights: Mapping[str, Shape]) -> AttentionPart | None:
    out = _product(weights, _OUT)
    if out is None:
        return None
    fused = _product(weights, _FUSED)
    if fused is not None:
        if fused.name == "c_attn" and fused.inputs > fused.outputs:  # nanoGPT's are linear layers
            fused = Product(fused.name, fused.outputs, fused.inputs)
            out = Product(out.name, out.outputs, out.inputs)
        key_inner = (fused.outputs - out.inputs) // 2
        return AttentionPart((fused,), out, out.inputs, key_inner) if key_inner > 0 else None
    query, key, value = (_product(weights, names) for names in (_QUERY, _KEY, _VALUE))
    if query is None or key is None or value is None:
        return None
    return AttentionPart((query, key, value), out, out.inputs, key.outputs)
