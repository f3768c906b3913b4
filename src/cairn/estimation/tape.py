"""What one forward pass leaves behind for the backward pass, in bytes, and what both compute.

The rules are those of torch's autograd (tools/autograd/derivatives.yaml in
https://github.com/pytorch/pytorch): a matrix product keeps its input for the gradient of its
weight, and nothing but the weight for the gradient of its input; a norm and an activation function
keep their inputs; a product of two results keeps both. A walk through a model calls the methods
below in the order of the model's own code, once for a block that is repeated.
"""

from collections.abc import Callable
from math import prod

from cairn.estimation.plan import Attention, Method, Plan, Precision
from cairn.estimation.subject import Shape

LSE_BYTES = 4
_STATISTICS_BYTES = 8  # a norm's mean and inverse deviation, float32


class Tape:
    """Counts bytes kept, the widest moment in passing, and floating-point operations."""

    def __init__(self, plan: Plan, targets: frozenset[str] = frozenset()) -> None:
        """`targets` are the last names of the modules that get an adapter."""
        self.plan = plan
        self.targets = targets
        self.kept_bytes = 0.0
        self.passing_bytes = 0.0
        self.recomputed_bytes = 0.0
        self.carried_bytes = 0.0
        self.logits_bytes = 0.0
        self.forward_flops = 0.0
        self.backward_flops = 0.0

    # --- what is kept ----------------------------------------------------------------------

    def keep(self, elements: float, element_bytes: int) -> None:
        """Something the backward pass needs. Where nothing below the head is trained: nothing."""
        if self.plan.method is not Method.LAST_LAYER:
            self.kept_bytes += elements * element_bytes

    def passes(self, elements: float, element_bytes: int | None = None) -> None:
        """Gradients alive together for a moment, in elements."""
        each = self.plan.narrow if element_bytes is None else element_bytes
        self.passing_bytes = max(self.passing_bytes, elements * each)

    # --- layers ----------------------------------------------------------------------------

    def linear(
        self, names: str, rows: float, inputs: int, outputs: int, *, is_input_kept: bool = False
    ) -> None:
        """Matrix products of `rows` inputs; `names` that share them are divided by spaces.

        `outputs` counts those of all names together. `is_input_kept`: something before keeps it.
        """
        plan, found = self.plan, names.split()
        adapted = [name for name in found if name in self.targets] if plan.method.adapts else []
        if not is_input_kept:
            self._keep_input(rows * inputs, is_adapted=bool(adapted))
        for _ in adapted:
            self.keep(rows * plan.rank, plan.narrow)  # what goes into the second matrix
            if plan.adapter_dropout:
                self.keep(rows * inputs, plan.mask_bytes)
                self.keep(rows * inputs, plan.narrow)
        if plan.precision is Precision.AMP and plan.method is Method.FULL:
            self.keep(inputs * outputs, plan.narrow)  # autocast's copy of the weight
        self.product(rows, inputs, outputs)
        for _ in adapted:
            extra = 2.0 * rows * plan.rank * (inputs + outputs / len(found))
            self.forward_flops += extra
            self.backward_flops += 2 * extra
        self.passes(rows * (inputs + outputs))

    def _keep_input(self, elements: float, *, is_adapted: bool) -> None:
        """What a product takes, where the gradient of its weight or an adapter needs it.

        Dropout before an adapter keeps what it makes, and not this.
        """
        plan = self.plan
        is_for_adapter = is_adapted and not plan.adapter_dropout
        if plan.method is Method.FULL or is_for_adapter or plan.kept_inputs:
            self.keep(elements, plan.narrow)
        self._carry(elements)

    def _carry(self, elements: float) -> None:
        """A second copy of a 4-bit product's input, of the step before, until this one's loss."""
        if self.plan.kept_inputs > 1 and not self.plan.checkpointing:
            self.carried_bytes += elements * self.plan.narrow

    def convolution(
        self,
        name: str,
        shape: Shape,
        made: float,
        taken: float,
        *,
        is_input_kept: bool = False,
        is_first: bool = False,
    ) -> None:
        """A convolution over `taken` positions of all samples that makes `made`.

        `shape` is that of its weight: outputs, inputs, and the kernel's axes. Of the first one of
        a model the input needs no gradient.
        """
        plan, (outputs, inputs, *kernel) = self.plan, shape
        is_adapted = plan.method.adapts and name in self.targets
        if (plan.method is Method.FULL or is_adapted) and not is_input_kept:
            self.keep(taken * inputs, plan.narrow)
        area = prod(kernel)
        self.product(made, inputs * area, outputs, is_first=is_first)
        if is_adapted:
            self.keep(made * plan.rank, plan.narrow)
            extra = 2.0 * made * plan.rank * (inputs * area + outputs)
            self.forward_flops += extra
            self.backward_flops += 2 * extra
        self.passes(taken * inputs + made * outputs)

    def product(
        self, rows: float, inputs: float, outputs: float, *, is_first: bool = False
    ) -> None:
        """The operations of a matrix product with a weight: 2 each, twice that backwards.

        Backwards it is half where the weight is frozen, and none where nothing below is trained.
        """
        forward = 2.0 * rows * inputs * outputs
        self.forward_flops += forward
        if self.plan.method is Method.FULL:
            self.backward_flops += forward if is_first else 2 * forward
        elif not is_first and self.plan.method.adapts:
            self.backward_flops += forward

    def layer_norm(self, rows: float, width: int) -> None:
        """Any norm of one kernel: it keeps its input, and statistics of each row."""
        self.keep(rows * width, self.plan.wide)
        self.keep(rows, _STATISTICS_BYTES)

    def rms_norm(self, rows: float, width: int) -> None:
        """A root-mean-square norm written out, as in transformers: float32 inside.

        Kept: the input as float32, and what the norm's weight is multiplied with.
        """
        self.keep(rows * width, 4)
        if self.plan.method is Method.FULL:
            self.keep(rows * width, self.plan.wide)

    def dropout(self, elements: float, probability: float) -> None:
        """The mask; what comes out is the next layer's to keep."""
        if probability:
            self.keep(elements, self.plan.mask_bytes)

    def activation(self, elements: float, name: str) -> None:
        """An activation function: its input, and for tanh-GELU written out three results more."""
        self.keep(elements, self.plan.result)
        if name in ("gelu_new", "gelu_fast", "gelu_python_tanh"):
            self.keep(3 * elements, self.plan.result)

    def attention(
        self,
        rows: float,
        keys: float,
        inner: int,
        key_inner: int,
        heads: int,
        *,
        key_rows: float | None = None,
        dropout: float = 0.0,
        eager: bool = False,
    ) -> None:
        """Attention of `rows` queries to `keys` keys each: queries, keys, values and result.

        `inner` is heads times their width, `key_inner` that of keys and values; `key_rows` counts
        keys where they are not the queries' own. Without a fused kernel the probabilities too.
        """
        plan = self.plan
        of_keys = rows if key_rows is None else key_rows
        self.keep(2 * rows * inner + 2 * of_keys * key_inner, plan.narrow)
        self._carry(rows * inner)  # into the product after it
        pairs = rows * keys * heads
        # The CPU's fused kernel knows no dropout; torch then writes attention out.
        is_written_out = eager or (plan.on_cpu and dropout > 0)
        if is_written_out or plan.attention is Attention.EAGER:
            self.keep(pairs, 4)  # the softmax is computed in float32
            if plan.narrow < 4 or dropout:
                self.keep(pairs, plan.narrow)
            self.dropout(pairs, dropout)
            self.passes(2 * pairs, 4)
        else:
            self.keep(rows * heads, LSE_BYTES)
        flops = 4.0 * rows * keys * inner
        self.forward_flops += flops
        if plan.method is not Method.LAST_LAYER:
            self.backward_flops += 2 * flops

    # --- the whole -------------------------------------------------------------------------

    def block(self, times: int, entry_bytes: float, walk: Callable[[], None]) -> None:
        """A block that is repeated: under checkpointing only what goes in is kept of each.

        What the widest of them keeps is then there while it is computed again.
        """
        kept, forward, backward = self.kept_bytes, self.forward_flops, self.backward_flops
        carried = self.carried_bytes
        walk()
        self.carried_bytes = carried + times * (self.carried_bytes - carried)
        own = self.kept_bytes - kept
        computed = self.forward_flops - forward
        self.forward_flops = forward + times * computed
        self.backward_flops = backward + times * (self.backward_flops - backward)
        if self.plan.checkpointing and self.plan.method is not Method.LAST_LAYER:
            self.kept_bytes = kept + times * entry_bytes
            self.recomputed_bytes = max(self.recomputed_bytes, own)
            self.backward_flops += times * computed
        else:
            self.kept_bytes = kept + times * own

    def logits(self, rows: float, width: int, vocabulary: int) -> None:
        """Scores over a vocabulary and their cross entropy, as `transformers` computes them.

        At the fullest moment there are the logarithms of the probabilities and the gradients of
        these and of the scores, all in float32 (`ForCausalLMLoss` in
        transformers/loss/loss_utils.py); after that the gradient of the output layer.
        """
        plan = self.plan
        if plan.method is Method.FULL:
            self.keep(rows * width, plan.narrow)
        if plan.precision is Precision.AMP and plan.method is not Method.LORA:
            self.keep(width * vocabulary, plan.narrow)  # autocast's copy of the output layer
        self.product(rows, width, vocabulary)
        scores = rows * vocabulary
        head_gradient = width * vocabulary * plan.trained_bytes * (plan.method is Method.FULL)
        self.logits_bytes = max(3 * 4 * scores, scores * plan.narrow + head_gradient)
