"""Trains the models of the corpus on the repository's own documents: nothing is downloaded."""

import random
import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import checkpoints
import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import AutoModel, AutoTokenizer, BertConfig, BertModel, PreTrainedModel

DOCS = Path(__file__).parent.parent / "docs"
UNKNOWN = 100  # [UNK] in MiniLM's vocabulary
TEMPERATURE = 0.05  # of the similarities, as sentence-transformers sets it for its contrastive loss


@dataclass(frozen=True, slots=True)
class Scale:
    """How large the corpus is: the whole MiniLM, its first layers, or a toy for tests."""

    layers: int
    vocabulary: int
    hidden: int | None  # None: MiniLM's own weights; else random ones of this width
    saves: int
    steps: int  # between two saves, and of a fine-tune
    gpt_layers: int
    gpt_hidden: int
    gpt_vocabulary: int


FULL = Scale(6, 30522, None, 6, 20, 6, 384, 8192)
SMALL = Scale(1, 4096, None, 2, 6, 2, 128, 2048)
TINY = Scale(1, 256, 64, 2, 1, 1, 64, 128)


def sentences() -> list[str]:
    """Lines of prose in the documents."""
    files = sorted(DOCS.rglob("*.md"))
    lines = [line.strip() for file in files for line in file.read_text("utf-8").splitlines()]
    return [line for line in lines if len(line) > 60]


def encoder(scale: Scale) -> PreTrainedModel:
    """MiniLM, cut to the scale."""
    if scale.hidden is not None:
        torch.manual_seed(0)
        config = BertConfig(
            vocab_size=scale.vocabulary, hidden_size=scale.hidden, num_attention_heads=4,
            num_hidden_layers=scale.layers, intermediate_size=4 * scale.hidden,
            max_position_embeddings=64,
        )  # fmt: skip
        return BertModel(config)
    model = AutoModel.from_pretrained(checkpoints.minilm())
    model.encoder.layer = model.encoder.layer[: scale.layers]
    words = model.embeddings.word_embeddings
    words.weight = nn.Parameter(words.weight[: scale.vocabulary].detach().clone())
    return model


def adamw(model: nn.Module, rate: float) -> torch.optim.AdamW:
    """The optimizer that fine-tunes are made with, for what is not frozen."""
    wanted = [weight for weight in model.parameters() if weight.requires_grad]
    return torch.optim.AdamW(wanted, lr=rate, weight_decay=0.01, fused=True)


class Contrastive:
    """Training of an encoder: two views of a sentence, by dropout, lie nearer than others."""

    def __init__(self, scale: Scale, seed: int, batch: int = 8, tokens: int = 32) -> None:
        self._tokenizer = AutoTokenizer.from_pretrained(checkpoints.minilm())
        self._vocabulary, self._batch, self._tokens = scale.vocabulary, batch, tokens
        self._random, self._lines = random.Random(seed), sentences()
        torch.manual_seed(seed)

    def run(self, model: nn.Module, optimizer: torch.optim.Optimizer, steps: int) -> None:
        """Train for some steps."""
        model.train()
        for _ in range(steps):
            loss = self._loss(model)
            optimizer.zero_grad(set_to_none=False)  # fresh memory is slow
            loss.backward()
            optimizer.step()

    def _loss(self, model: nn.Module) -> Tensor:
        lines = self._random.sample(self._lines, self._batch)
        words = self._tokenizer(
            lines, padding=True, truncation=True, max_length=self._tokens, return_tensors="pt"
        )
        ids = words["input_ids"]
        words["input_ids"] = torch.where(ids < self._vocabulary, ids, UNKNOWN)
        views = [
            functional.normalize(model(**words).last_hidden_state.mean(1).float(), dim=-1)
            for _ in range(2)
        ]
        near = views[0] @ views[1].T / TEMPERATURE
        return functional.cross_entropy(near, torch.arange(self._batch))


class Gpt(nn.Module):
    """A small decoder, to train from random weights."""

    def __init__(self, scale: Scale, context: int = 128) -> None:
        super().__init__()
        width = scale.gpt_hidden
        self.words = nn.Embedding(scale.gpt_vocabulary, width)
        self.places = nn.Embedding(context, width)
        layer = nn.TransformerEncoderLayer(
            width, 4, 4 * width, dropout=0.0, activation="gelu", batch_first=True, norm_first=True
        )
        self.layers = nn.TransformerEncoder(layer, scale.gpt_layers, enable_nested_tensor=False)
        self.norm = nn.LayerNorm(width)
        for table in (self.words, self.places):
            nn.init.normal_(table.weight, std=0.02)

    def forward(self, ids: Tensor) -> Tensor:
        """Scores of the next word."""  # (batch, length) -> (batch, length, vocabulary)
        length = ids.shape[1]
        mask = nn.Transformer.generate_square_subsequent_mask(length)
        here = self.words(ids) + self.places(torch.arange(length))
        hidden = self.layers(here, mask=mask, is_causal=True)
        return self.norm(hidden) @ self.words.weight.T


def word_numbers(vocabulary: int) -> Tensor:
    """The documents as numbers of their most frequent words; 0 is any other."""  # (n,)
    text = "\n".join(sentences())
    words = re.findall(r"\w+|[^\w\s]|\s", text)
    known = {word: n for n, (word, _) in enumerate(Counter(words).most_common(vocabulary - 1), 1)}
    return torch.tensor([known.get(word, 0) for word in words])


def gpt_series(scale: Scale, seed: int) -> Iterator[tuple[nn.Module, torch.optim.Optimizer]]:
    """A GPT trained from scratch: the model and its optimizer at each save."""
    torch.manual_seed(seed)
    model, text = Gpt(scale), word_numbers(scale.gpt_vocabulary)
    optimizer = adamw(model, 1e-3)
    length = model.places.num_embeddings
    for _ in range(scale.saves):
        for _ in range(scale.steps):
            starts = torch.randint(len(text) - length - 1, (4,))
            ids = torch.stack([text[at : at + length + 1] for at in starts.tolist()])
            scores = model(ids[:, :-1])
            loss = functional.cross_entropy(scores.flatten(0, 1), ids[:, 1:].flatten())
            optimizer.zero_grad(set_to_none=False)  # fresh memory is slow
            loss.backward()
            optimizer.step()
        yield model, optimizer


def fine_tuned(
    scale: Scale, seed: int, rate: float, freeze: Callable[[str], bool] | None = None
) -> PreTrainedModel:
    """MiniLM trained on; `freeze` says which weights stay as they are."""
    model = encoder(scale)
    for name, weight in model.named_parameters():
        weight.requires_grad = freeze is None or not freeze(name)
    Contrastive(scale, seed).run(model, adamw(model, rate), scale.steps)
    return model


def fine_tuned_in_bf16(scale: Scale, seed: int, rate: float) -> PreTrainedModel:
    """MiniLM trained on in bfloat16, which many processors are slow at: a few steps."""
    model = encoder(scale).bfloat16()
    Contrastive(scale, seed).run(model, adamw(model, rate), max(1, scale.steps // 3))
    return model
