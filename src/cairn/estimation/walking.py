"""Which walk a model takes: by its family, its stacks, and the class its configuration names."""

from collections.abc import Iterable
from dataclasses import dataclass
from math import prod

from cairn.errors import RequestError
from cairn.estimation.plan import Method, Plan
from cairn.estimation.stacks import Stack, stacks
from cairn.estimation.subject import Shape, Subject, is_embedding, is_output_layer
from cairn.estimation.tape import Tape
from cairn.estimation.walks.diffusion import unet
from cairn.estimation.walks.images import resnet, vision_transformer
from cairn.estimation.walks.language import decoder, encoder, encoder_decoder
from cairn.estimation.walks.policy import policy
from cairn.estimation.walks.sound import wav2vec2, whisper

# What PEFT adapts where nobody says otherwise, by family
# (TRANSFORMERS_MODELS_TO_LORA_TARGET_MODULES_MAPPING in peft/utils/constants.py).
_TARGETS = {
    "gpt2": ("c_attn",),
    "bert": ("query", "value"),
    "vit": ("query", "value", "q_proj", "v_proj"),
    "yolo": ("query", "value", "q_proj", "v_proj"),
    "t5": ("q", "v"),
    "stable-diffusion": ("to_q", "to_k", "to_v", "to_out.0"),
    "resnet": ("convolution", "conv1", "conv2", "conv3"),
}
_USUAL_TARGETS = (
    *("q_proj", "v_proj", "query_key_value", "query", "value", "qkv_proj", "Wqkv"),
    *("attn_q", "attn_v", "attn_qkv"),  # as GGUF calls them
)
_ENCODERS = ("bert", "roberta", "distilbert", "electra", "xlm-roberta", "camembert", "deberta")
_PICTURES = ("vit", "yolo", "deit", "yolos", "clip")


@dataclass(frozen=True, slots=True)
class Trained:
    """Parameters in all, how many of them are trained, and the elements of the largest of these.

    `factored` counts the numbers that Adafactor keeps of them.
    """

    parameters: int
    count: int
    largest: int
    factored: int


class Walker:
    """Walks one model under any plan; what does not depend on the plan is found once.

    `matrices` are elements that 4-bit weights replace: not embeddings, not the output layer
    (`head`); `largest_matrix` those of the largest. `largest_table` is elements of the largest
    table of embeddings, `largest_block` of the block with the most.
    """

    def __init__(self, subject: Subject) -> None:
        """`subject` is what is trained."""
        self.subject = subject
        self.stacks = stacks(subject)
        self.parameter_shapes = tuple(subject.parameter_shapes())
        self.largest_table = max(
            (prod(s) for n, s in self.parameter_shapes if is_embedding(n)), default=0
        )
        matrices = [
            prod(shape)
            for name, shape in self.parameter_shapes
            if len(shape) == 2 and not is_embedding(name) and not is_output_layer(name)
        ]
        self.head = sum(prod(shape) for n, shape in self.parameter_shapes if is_output_layer(n))
        self.matrices, self.largest_matrix = sum(matrices), max(matrices, default=0)
        self.largest_block = max(
            (sum(map(prod, one.weights.values())) for one in self.stacks), default=0
        )
        self.parameters = sum(prod(shape) for _, shape in self.parameter_shapes)
        self.is_tied = subject.is_tied
        self._trained: dict[tuple[Method, int, frozenset[str]], Trained] = {}

    def targets(self, plan: Plan) -> frozenset[str]:
        """The last names of the modules that an adapter goes to."""
        usual = _TARGETS.get(self.subject.family, _USUAL_TARGETS)
        return frozenset(plan.targets or usual)

    def trained(self, plan: Plan) -> Trained:
        """What of the model is trained under a plan; models have up to 100,000 tensors.

        Raises:
            RequestError: an adapter would go nowhere.
        """
        key = plan.method, plan.rank, self.targets(plan)
        if key not in self._trained:
            shapes = tuple(self._trained_shapes(plan))
            if plan.method.adapts and not shapes:
                raise RequestError(
                    f"an adapter would go to {', '.join(sorted(self.targets(plan)))}, and nothing"
                    " is called so here: name modules with --targets"
                )
            sizes = tuple(map(prod, shapes))
            self._trained[key] = Trained(
                parameters=self.parameters,
                count=sum(sizes),
                largest=max(sizes, default=0),
                factored=sum(map(_factored, shapes)),
            )
        return self._trained[key]

    def _trained_shapes(self, plan: Plan) -> Iterable[Shape]:
        if plan.method is Method.FULL:
            return (shape for _, shape in self.parameter_shapes)
        if plan.method is Method.LAST_LAYER:
            return (shape for _, shape in self.subject.head_shapes())
        targets = self.targets(plan)
        return (
            made
            for name, shape in self.parameter_shapes
            if len(shape) > 1 and _is_target(name, targets)
            for made in _adapter(shape, plan.rank)
        )

    def tape(self, plan: Plan) -> Tape:
        """What one pass over one batch leaves and computes.

        Raises:
            RequestError: there is no walk for this kind of model, or a number is missing.
        """
        tape = Tape(plan, self.targets(plan))
        family, subject = self.subject.family, self.subject
        if family == "stable-diffusion" or family == "unet":
            unet(tape, subject)
        elif family == "resnet":
            resnet(tape, subject)
        elif family == "rl-policy":
            policy(tape, subject)
        else:
            self._transformer(tape)
        return tape

    def _transformer(self, tape: Tape) -> None:
        subject, found = self.subject, self.stacks
        family = subject.family
        if not found:
            raise RequestError(
                f"there is no closed form for {family or 'this model'}: no blocks with attention"
                " were found among its tensors; --exact runs the model itself on no memory"
            )
        reads, writes = _pair(found)
        if family == "whisper" and writes is not None:
            whisper(tape, subject, reads, writes)
        elif writes is not None:
            encoder_decoder(tape, subject, reads, writes)
        elif family in ("wav2vec2", "hubert"):
            wav2vec2(tape, subject, reads)
        elif family in _PICTURES:
            for stack in found:
                _tower(tape, subject, stack)
        elif family in _ENCODERS or _is_encoder(subject):
            encoder(tape, subject, reads)
        else:
            decoder(tape, subject, reads)


def _is_target(name: str, targets: frozenset[str]) -> bool:
    module = name.rpartition(".")[0]
    return module.rpartition(".")[2] in targets or any(
        "." in one and module.endswith(f".{one}") for one in targets
    )


def _adapter(shape: Shape, rank: int) -> tuple[Shape, Shape]:
    """The matrices beside a weight or kernel: (rank, in), (out, rank) (arXiv 2106.09685)."""
    return (rank, prod(shape[1:])), (shape[0], rank)


def _factored(shape: Shape) -> int:
    """Adafactor keeps a row and a column of a matrix in place of it (arXiv 1804.04235)."""
    if len(shape) < 2:
        return prod(shape)
    return prod(shape[:-1]) + prod((*shape[:-2], shape[-1]))


def _tower(tape: Tape, subject: Subject, stack: Stack) -> None:
    """CLIP has one for text beside that for images."""
    walk = encoder if "text" in stack.prefix else vision_transformer
    walk(tape, subject, stack)


def _pair(found: list[Stack]) -> tuple[Stack, Stack | None]:
    """Encoder and decoder where there are both: the decoder looks at what the encoder made."""
    writes = next((one for one in found if one.cross_attention is not None), None)
    reads = next((one for one in found if one is not writes), None)
    if writes is None or reads is None:
        return max(found, key=lambda one: one.count), None
    return reads, writes


def _is_encoder(subject: Subject) -> bool:
    """By the class alone: names of decoders end in `CausalLM` or `LMHeadModel`."""
    name = subject.class_name
    return name.endswith(("ForSequenceClassification", "ForTokenClassification", "ForMaskedLM"))
