"""Language models: decoders, encoders, and encoder-decoders like T5."""

from cairn.estimation.stacks import Stack
from cairn.estimation.subject import Subject
from cairn.estimation.tape import Tape
from cairn.estimation.walks.transformer import Habits, block, habits_of

_ACTIVATIONS = {"gpt2": "gelu_new", "bert": "gelu", "llama-like": "silu"}
_DROPOUTS = {"gpt2": 0.1, "bert": 0.1}


def decoder(tape: Tape, subject: Subject, stack: Stack) -> None:
    """A causal decoder with scores over its vocabulary, such as GPT-2 and Llama."""
    plan = tape.plan
    rows = float(plan.batch * plan.seq)
    width = _width(stack)
    habits = habits_of(
        subject, _ACTIVATIONS.get(subject.family, "gelu"), _DROPOUTS.get(subject.family, 0.0)
    )
    tape.dropout(rows * width, habits.dropout)
    entry = rows * width * plan.wide
    tape.block(stack.count, entry, lambda: block(tape, stack, habits, rows, plan.seq))
    _final_norm(tape, stack, rows, width)
    tape.logits(rows, width, _vocabulary(subject))


def encoder(tape: Tape, subject: Subject, stack: Stack) -> None:
    """An encoder with a small head on it, such as BERT for classification."""
    plan = tape.plan
    rows = float(plan.batch * plan.seq)
    width = _width(stack)
    habits = habits_of(subject, "gelu", 0.1)
    tape.layer_norm(rows, width)
    tape.dropout(rows * width, habits.dropout)
    entry = rows * width * plan.wide
    tape.block(stack.count, entry, lambda: block(tape, stack, habits, rows, plan.seq))
    if subject.shape_of("pooler.dense.weight"):
        tape.linear("dense", plan.batch, width, width)


def encoder_decoder(tape: Tape, subject: Subject, reads: Stack, writes: Stack) -> None:
    """An encoder and a decoder that looks at it, such as T5."""
    plan = tape.plan
    rows, target = float(plan.batch * plan.seq), plan.target_seq or plan.seq
    written = float(plan.batch * target)
    width = _width(reads)
    habits = _t5_habits(subject, on_cpu=plan.on_cpu)
    for stack, length in ((reads, rows), (writes, written)):
        memory = (0.0, 0.0) if stack is reads else (rows, float(plan.seq))
        keys = plan.seq if stack is reads else target

        def walk(
            stack: Stack = stack,
            length: float = length,
            keys: float = keys,
            memory: tuple[float, float] = memory,
        ) -> None:
            block(tape, stack, habits, length, keys, memory)

        tape.dropout(length * width, habits.dropout)
        tape.block(stack.count, length * width * plan.wide, walk)
        _final_norm(tape, stack, length, width)
        tape.keep(length * width, plan.narrow)  # what the decoder or the output layer takes
    tape.logits(written, width, _vocabulary(subject))


def _t5_habits(subject: Subject, *, on_cpu: bool) -> Habits:
    gated = subject.shape_of("wi_1.weight") is not None
    found = habits_of(subject, "gelu_new" if gated else "relu", 0.1)
    activation = subject.word("", "dense_act_fn", "feed_forward_proj").removeprefix("gated-")
    usual = "gelu_new" if gated else "relu"
    return Habits(
        activation=usual if activation in ("", "gelu") else activation,
        dropout=found.dropout,
        attention_dropout=found.dropout,
        inner_dropout=found.dropout,
        eager=found.eager or on_cpu,  # its bias of positions has a gradient, which CPUs write out
        heads=found.heads,
    )


def _final_norm(tape: Tape, stack: Stack, rows: float, width: int) -> None:
    (tape.layer_norm if stack.has_centred_norms else tape.rms_norm)(rows, width)


def _width(stack: Stack) -> int:
    return stack.attention.out.outputs


def _vocabulary(subject: Subject) -> int:
    head = subject.shape_of("lm_head.weight", "embed_out.weight", "output.weight")
    return head[0] if head is not None and len(head) == 2 else subject.number("vocab_size")
