"""Models of speech: Whisper over spectrograms, wav2vec 2.0 and its kin over the wave itself."""

from cairn.estimation.stacks import Stack
from cairn.estimation.subject import Subject
from cairn.estimation.tape import Tape
from cairn.estimation.walks.transformer import block, habits_of

_WHISPER_POSITIONS = 1500
# `conv_stride` of wav2vec 2.0's configuration: 320 samples become one position.
_STRIDES = (5, 2, 2, 2, 2, 2, 2)
_CONV_GROUPS = 16


def whisper(tape: Tape, subject: Subject, reads: Stack, writes: Stack) -> None:
    """Two convolutions over 30 s of spectrogram, an encoder, and a decoder of `seq` tokens."""
    plan = tape.plan
    positions = subject.number("max_source_positions", _WHISPER_POSITIONS)
    rows, written = float(plan.batch * positions), float(plan.batch * plan.seq)
    first = subject.shape_of("encoder.conv1.weight") or (512, 80, 3)
    width, channels = first[0], first[1]
    habits = habits_of(subject, "gelu", 0.0)
    for inputs, made in ((channels, 2 * rows), (width, rows)):
        shape = (width, inputs, 3)
        tape.convolution("conv", shape, made, 2 * rows, is_first=inputs == channels)
        tape.activation(made * width, "gelu")
    entry = width * plan.wide
    tape.block(reads.count, rows * entry, lambda: block(tape, reads, habits, rows, positions))
    tape.layer_norm(rows, width)
    tape.keep(rows * width, plan.narrow)
    memory = (rows, float(positions))
    tape.block(
        writes.count,
        written * entry,
        lambda: block(tape, writes, habits, written, plan.seq, memory),
    )
    tape.layer_norm(written, width)
    tape.logits(written, width, subject.number("vocab_size"))


def wav2vec2(tape: Tape, subject: Subject, stack: Stack) -> None:
    """Seven convolutions over `seq` samples of sound, then an encoder and scores of letters."""
    plan = tape.plan
    length = _convolutions(tape, subject)
    rows = float(plan.batch * length)
    width = stack.attention.out.outputs
    habits = habits_of(subject, "gelu", 0.1, inner=0.1)
    projection = subject.shape_of("feature_projection.projection.weight")
    if projection is not None:
        tape.layer_norm(rows, projection[1])
        tape.linear("projection", rows, projection[1], projection[0])
    tape.dropout(rows * width, habits.dropout)
    positions = subject.shape_of(
        "pos_conv_embed.conv.weight_v", "parametrizations.weight.original1"
    )
    if positions is not None and len(positions) == 3:
        tape.keep(rows * width, plan.narrow)
        # An even kernel makes one position more, which is cut off.
        made = rows + plan.batch * (positions[2] % 2 == 0)
        tape.product(made, positions[1] * positions[2], width)
        tape.activation(rows * width, "gelu")
    tape.layer_norm(rows, width)
    tape.dropout(rows * width, habits.dropout)
    entry = rows * width * plan.wide
    tape.block(stack.count, entry, lambda: block(tape, stack, habits, rows, length))
    head = subject.shape_of("lm_head.weight")
    if head is not None:
        tape.logits(rows, width, head[0])


def _convolutions(tape: Tape, subject: Subject) -> int:
    """The feature extractor; returns how many positions are left of each sample."""
    plan = tape.plan
    strides = subject.numbers("conv_stride", _STRIDES)
    length = plan.seq
    for at, stride in enumerate(strides):
        shape = subject.shape_of(f"conv_layers.{at}.conv.weight")
        if shape is None or len(shape) != 3:
            break
        outputs, _, kernel = shape
        taken = float(plan.batch * length)
        length = max(1, (length - kernel) // max(1, stride) + 1)
        made = float(plan.batch * length)
        # The first one's input gets a gradient too: transformers asks for it.
        tape.convolution("conv", shape, made, taken)
        if subject.shape_of(f"conv_layers.{at}.layer_norm.weight"):
            tape.layer_norm(made, outputs)
        tape.activation(made * outputs, "gelu")
        tape.passes(2 * made * outputs)
    return length
