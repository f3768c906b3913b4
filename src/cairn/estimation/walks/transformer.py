"""Transformers of all kinds: decoders, encoders, encoder-decoders, over text, images and sound.

Blocks are told by their weights (see `stacks`); the order inside does not change what is kept:
`modeling_*.py` in https://github.com/huggingface/transformers/tree/main/src/transformers/models.
"""

from dataclasses import dataclass

from cairn.estimation.stacks import AttentionPart, Product, Stack
from cairn.estimation.subject import Subject
from cairn.estimation.tape import Tape

_HEAD_WIDTH = 64  # where no configuration tells; it concerns a few bytes of each head
_RELU = ("relu", "relu2")


@dataclass(frozen=True, slots=True)
class Habits:
    """What a model does that its weights do not show."""

    activation: str
    dropout: float = 0.0
    attention_dropout: float = 0.0
    inner_dropout: float = 0.0
    eager: bool = False
    heads: int = 0
    experts_per_token: int = 0


def block(
    tape: Tape,
    stack: Stack,
    habits: Habits,
    rows: float,
    keys: float,
    memory: tuple[float, float] = (0, 0),
) -> None:
    """One block over `rows` tokens of all samples, each looking at `keys` of its own sample.

    `memory` is rows and keys of what an encoder made, for attention to that.
    """
    own = stack.attention
    width = own.out.outputs
    heads = habits.heads or max(1, own.inner // _HEAD_WIDTH)
    _norms(tape, stack, own, rows, heads)
    _attention(tape, own, habits, heads, rows, keys)
    tape.dropout(rows * width, habits.dropout)
    cross = stack.cross_attention
    if cross is not None and memory[0]:
        _attention(tape, cross, habits, heads, rows, memory[1], memory[0])
        tape.dropout(rows * width, habits.dropout)
    _feed_forward(tape, stack, habits, rows)
    tape.dropout(rows * width, habits.dropout)


def _norms(tape: Tape, stack: Stack, own: AttentionPart, rows: float, heads: int) -> None:
    norm = tape.layer_norm if stack.has_centred_norms else tape.rms_norm
    for name, width in stack.norms:
        # A norm of each head, as of Qwen 3, sees a row per head.
        of = own.key_inner if name.startswith(("k_norm", "self_attn.k_norm")) else own.inner
        is_per_head = width < own.out.outputs and width * heads in (own.inner, own.key_inner)
        is_per_head |= name.endswith(("q_norm.weight", "k_norm.weight")) and width < of
        norm(rows * (of // width if is_per_head else 1), width)


def _attention(
    tape: Tape,
    part: AttentionPart,
    habits: Habits,
    heads: int,
    rows: float,
    keys: float,
    key_rows: float | None = None,
) -> None:
    first, *others = part.projections
    if key_rows is None:
        names = " ".join(one.name for one in part.projections)
        tape.linear(names, rows, first.inputs, sum(one.outputs for one in part.projections))
    else:
        tape.linear(first.name, rows, first.inputs, first.outputs)
        for one in others:
            # What the encoder made is kept once for all layers, by its last norm.
            tape.linear(one.name, key_rows, one.inputs, one.outputs, is_input_kept=True)
    tape.attention(
        rows,
        keys,
        part.inner,
        part.key_inner,
        heads,
        key_rows=key_rows,
        dropout=habits.attention_dropout,
        eager=habits.eager,
    )
    # The result of a fused kernel is kept already, as the input of this product would be.
    tape.linear(part.out.name, rows, part.out.inputs, part.out.outputs, is_input_kept=True)


def _feed_forward(tape: Tape, stack: Stack, habits: Habits, rows: float) -> None:
    up, gate, down = stack.gate_up or stack.up, stack.gate, stack.down
    if up is None or down is None:
        return
    if stack.experts and habits.experts_per_token:
        rows *= habits.experts_per_token
    is_gated = gate is not None or stack.gate_up is not None
    wide = down.inputs
    _first_products(tape, rows, up, gate)
    if habits.activation in _RELU and not is_gated:
        tape.keep(rows * wide, tape.plan.result)  # keeps its result, which the next product shares
        is_kept = not habits.inner_dropout
    else:
        tape.activation(rows * wide, habits.activation)
        is_kept = False
    if is_gated:
        tape.keep(2 * rows * wide, tape.plan.result)
        tape.passes(3 * rows * wide)
    tape.dropout(rows * wide, habits.inner_dropout)
    tape.linear(down.name, rows, down.inputs, down.outputs, is_input_kept=is_kept)


def _first_products(tape: Tape, rows: float, up: Product, gate: Product | None) -> None:
    if gate is None:
        tape.linear(up.name, rows, up.inputs, up.outputs)
    else:
        tape.linear(f"{gate.name} {up.name}", rows, up.inputs, gate.outputs + up.outputs)


def habits_of(subject: Subject, activation: str, dropout: float, inner: float = 0.0) -> Habits:
    """What the configuration says, or what is usual for the family."""
    share = subject.share(
        dropout,
        *("hidden_dropout_prob", "resid_pdrop", "dropout_rate", "hidden_dropout", "dropout"),
    )
    return Habits(
        activation=subject.word(
            activation, "hidden_act", "activation_function", "hidden_activation"
        ),
        dropout=share,
        attention_dropout=subject.share(
            share,
            *("attention_probs_dropout_prob", "attn_pdrop", "dropout_rate", "attention_dropout"),
        ),
        inner_dropout=subject.share(inner, "activation_dropout"),
        eager=subject.word("", "_attn_implementation") == "eager",
        heads=subject.number("num_attention_heads", 0) if _has_heads(subject) else 0,
        experts_per_token=subject.number("num_experts_per_tok", 2) if _has_experts(subject) else 0,
    )


def _has_heads(subject: Subject) -> bool:
    return isinstance(subject.facts.get("num_attention_heads"), int)


def _has_experts(subject: Subject) -> bool:
    return isinstance(subject.facts.get("num_experts"), int)
