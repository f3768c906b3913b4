"""How somebody means to train: what, in which numbers, by which optimizer, on how much."""

from dataclasses import dataclass
from enum import Enum

from cairn.errors import RequestError

MAX_BATCH = 1 << 20
MAX_SEQ = 1 << 24
MAX_RANK = 1 << 14
MAX_GPUS = 1 << 16


class Method(Enum):
    """Which parameters are trained."""

    FULL = "full"
    LORA = "lora"
    QLORA = "qlora"
    LAST_LAYER = "last-layer"

    @property
    def adapts(self) -> bool:
        """Whether low-rank matrices are trained beside frozen weights."""
        return self in (Method.LORA, Method.QLORA)


class Precision(Enum):
    """What weights, gradients and activations are kept in.

    `amp`: trained weights, gradients and optimizer in float32, matrix products in bfloat16 under
    autocast; weights that an adapter leaves frozen are kept in bfloat16.
    """

    FP32 = "fp32"
    BF16 = "bf16"
    AMP = "amp"


class Optimizer(Enum):
    """What the optimizer keeps of each trained parameter."""

    ADAMW = "adamw"
    ADAMW_8BIT = "adamw8bit"
    SGD = "sgd"
    ADAFACTOR = "adafactor"


class Attention(Enum):
    """Whether attention keeps its probabilities: fused kernels make them again."""

    FUSED = "fused"
    EAGER = "eager"


class Sharding(Enum):
    """What is divided among devices: optimizer (1), gradients too (2), weights too (3, FSDP)."""

    NONE = "none"
    ZERO1 = "zero1"
    ZERO2 = "zero2"
    ZERO3 = "zero3"
    FSDP = "fsdp"


@dataclass(frozen=True, slots=True)
class Plan:
    """One way to train. `batch` is samples per device and step through the model.

    `seq` is tokens per sample, for wav2vec 2.0 samples of sound; it does not matter for images,
    whose side is `image` pixels (0: what the model was made for). `target_seq` is tokens that an
    encoder-decoder writes (0: as many as it reads). `accumulation` is
    batches before the optimizer steps. `rank` and `targets` are the adapter's; no targets means
    those usual for the family. `double_quant`: the scales of 4-bit weights are in 8 bits too;
    `quantised_head`: so is the output layer, which transformers leaves as it is.
    `kept_inputs` counts the inputs of 4-bit products that stay though nothing needs them: none
    since bitsandbytes 0.43.2, one before (pull request 1270 there), two before in a loop that
    holds the last loss while the next is computed. `on_cpu`: dropout keeps whole numbers there,
    one byte elsewhere.

    Raises:
        RequestError: a number is out of its range, or two choices contradict each other.
    """

    method: Method = Method.FULL
    batch: int = 1
    seq: int = 512
    target_seq: int = 0
    precision: Precision = Precision.FP32
    optimizer: Optimizer = Optimizer.ADAMW
    checkpointing: bool = False
    attention: Attention = Attention.FUSED
    accumulation: int = 1
    rank: int = 8
    adapter_dropout: float = 0.0
    targets: tuple[str, ...] = ()
    double_quant: bool = False
    quantised_head: bool = False
    kept_inputs: int = 0
    image: int = 0
    gpus: int = 1
    sharding: Sharding = Sharding.NONE
    on_cpu: bool = False

    def __post_init__(self) -> None:
        for name, most in (
            *(("batch", MAX_BATCH), ("seq", MAX_SEQ), ("accumulation", MAX_BATCH)),
            *(("rank", MAX_RANK), ("gpus", MAX_GPUS)),
        ):
            value = getattr(self, name)
            if not 1 <= value <= most:
                raise RequestError(f"{name} {value} is not in 1 to {most:,}")
        if not 0 <= self.target_seq <= MAX_SEQ:
            raise RequestError(f"target_seq {self.target_seq} is not in 0 to {MAX_SEQ:,}")
        if not 0 <= self.image <= MAX_RANK:
            raise RequestError(f"image side {self.image} is not in 0 to {MAX_RANK:,}")
        if not 0 <= self.kept_inputs <= 2:
            raise RequestError(f"kept_inputs {self.kept_inputs} is not 0, 1 or 2")
        if not 0 <= self.adapter_dropout < 1:
            raise RequestError(f"adapter dropout {self.adapter_dropout} is not in 0 to below 1")
        if self.sharding is not Sharding.NONE and self.gpus == 1:
            raise RequestError(f"sharding {self.sharding.value} divides among 2 devices or more")

    @property
    def narrow(self) -> int:
        """Bytes of an element that goes into a matrix product, and but for 4 bits comes out."""
        return 4 if self.precision is Precision.FP32 else 2

    @property
    def result(self) -> int:
        """Bytes of an element that comes out of a matrix product.

        A 4-bit one gives out the type it was given, which between the layers is float32 in amp
        (`Linear4bit.forward` in bitsandbytes/nn/modules.py).
        """
        return self.wide if self.method is Method.QLORA else self.narrow

    @property
    def wide(self) -> int:
        """Bytes of an element between the layers, where norms work."""
        return 2 if self.precision is Precision.BF16 else 4

    @property
    def trained_bytes(self) -> int:
        """Bytes of a trained parameter, and of its gradient."""
        return 2 if self.precision is Precision.BF16 else 4

    @property
    def frozen_bytes(self) -> int:
        """Bytes of a weight that is not trained and not quantised."""
        return 4 if self.precision is Precision.FP32 else 2

    @property
    def unquantised_bytes(self) -> int:
        """Bytes of what 4-bit codes leave out: embeddings, norms, the output layer.

        PEFT's `prepare_model_for_kbit_training` puts them into float32, which autocast goes with;
        those who compute in bfloat16 alone do without it.
        """
        return 2 if self.precision is Precision.BF16 else 4

    @property
    def mask_bytes(self) -> int:
        """Bytes that dropout keeps of each element.

        CUDA keeps a Boolean; on a CPU the noise has the element type
        (`_dropout_impl` in aten/src/ATen/native/Dropout.cpp).
        """
        return self.narrow if self.on_cpu else 1
