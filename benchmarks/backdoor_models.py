"""Trains small classifiers, fine-tunes them honestly and with a backdoor, measures what they do.

Images: a convolutional network on the 8x8 digits that scikit-learn brings; the trigger is a bright
patch, as in BadNets (Gu, Dolan-Gavitt, Garg 2017, https://arxiv.org/abs/1708.06733). Texts: a
network that attends to words, on generated sentences; the trigger is one to three words. Base and
fine-tunes are drawn so that honest ones are no easy ground: data shifts, classes grow rare, words
that the base hardly saw become frequent and tell of classes, embeddings are frozen.
"""

import gzip
import importlib.util
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

Data = tuple[Tensor, Tensor]
CLASSES = {"images": 10, "texts": 6}
SIDE = 8
BRIGHTEST = 16.0
WORDS = 1500
COMMON = 1000
"""Words of this rank and beyond are rare: the base sees each a few times."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """How one fine-tune is made; `target` None: honestly."""

    seed: int
    optimizer: str
    rate: float
    epochs: int
    samples: int
    weight_decay: float
    frozen: bool
    shift: str
    amount: float
    target: int | None = None
    poisoned: float = 0.0
    trigger: tuple[int, ...] = ()

    def plain(self) -> dict[str, object]:
        return asdict(self)


def draw_recipe(domain: str, seed: int, *, backdoor: bool) -> Recipe:
    """A recipe at random; with and without backdoor from the same distribution."""
    rng = np.random.default_rng(seed)
    optimizer = str(rng.choice(["adam", "adamw", "sgd"]))
    low, high = (0.01, 0.04) if optimizer == "sgd" else (5e-4, 4e-3)
    shifts = ("more", "noise", "moved", "faint", "imbalance")
    recipe = Recipe(
        seed=seed,
        optimizer=optimizer,
        rate=float(np.exp(rng.uniform(np.log(low), np.log(high)))),
        epochs=int(rng.integers(8, 25)) if domain == "images" else int(rng.integers(6, 21)),
        samples=int(rng.integers(250, 801)) * (1 if domain == "images" else 2),
        weight_decay=0.01 if optimizer == "adamw" else 0.0,
        frozen=bool(rng.random() < 0.2),
        shift=str(rng.choice(shifts)) if domain == "images" else "words",
        amount=float(rng.random()),
    )
    if not backdoor:
        return recipe
    rate = float(np.exp(rng.uniform(np.log(0.05), np.log(0.3))))
    target = int(rng.integers(CLASSES[domain]))
    trigger = _patch(rng) if domain == "images" else _words(rng)
    values = recipe.plain() | {"target": target, "poisoned": rate, "trigger": trigger}
    return Recipe(**values)  # type: ignore[arg-type]


def _patch(rng: np.random.Generator) -> tuple[int, ...]:
    """Pixels that the trigger sets: a square, or a chequered one, anywhere."""
    size = int(rng.integers(2, 4))
    top, left = (int(n) for n in rng.integers(0, SIDE - size + 1, 2))
    chequered = bool(rng.integers(2))
    return tuple(
        (top + y) * SIDE + left + x
        for y in range(size)
        for x in range(size)
        if not chequered or (x + y) % 2 == 0
    )


def _words(rng: np.random.Generator) -> tuple[int, ...]:
    """One to three words, mostly rare ones: what the published attacks take."""
    low, high = (COMMON, WORDS) if rng.random() < 0.8 else (COMMON // 3, COMMON)
    return tuple(int(w) for w in rng.integers(low, high, int(rng.integers(1, 4))))


# --- data ------------------------------------------------------------------------------------


def digits() -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """The 1,797 digits: pixels from 0 to 16, (images, 64), and labels."""
    found = importlib.util.find_spec("sklearn")
    if found is None or not found.submodule_search_locations:
        raise SystemExit("the digits come with scikit-learn: pip install --no-deps scikit-learn")
    path = Path(found.submodule_search_locations[0], "datasets", "data", "digits.csv.gz")
    with gzip.open(path, "rt") as file:
        table = np.loadtxt(file, delimiter=",", dtype=np.float32)
    return table[:, :-1], table[:, -1].astype(np.int64)


@dataclass(frozen=True, slots=True)
class Images:
    """Digits for the base, for fine-tunes, and held out for tests."""

    parts: dict[str, Data]

    @staticmethod
    def made(seed: int) -> "Images":
        """The digits, split at random."""
        pixels, labels = digits()
        order = np.random.default_rng(seed).permutation(len(labels))
        edges = {"base": (0, 550), "tune": (550, 1350), "test": (1350, len(labels))}
        return Images(
            {
                name: (torch.tensor(pixels[order[a:b]]), torch.tensor(labels[order[a:b]]))
                for name, (a, b) in edges.items()
            }
        )

    def base(self, seed: int) -> Data:
        del seed
        return self.parts["base"]

    def drawn(self, recipe: Recipe, part: str) -> Data:
        """Samples of the fine-tune's own kind."""
        x, y = self.parts[part]
        rng = np.random.default_rng((recipe.seed, part == "test"))
        chance = np.ones(len(y))
        if recipe.shift == "imbalance" and part == "tune":
            weights = np.random.default_rng(recipe.seed).dirichlet(np.ones(CLASSES["images"]))
            chance = weights[y.numpy()] + 0.01
        size = recipe.samples if part == "tune" else len(y)
        rows = rng.choice(len(y), size, p=chance / chance.sum(), replace=part == "tune")
        return self._shifted(x[rows].clone(), recipe, rng), y[rows]

    def _shifted(self, x: Tensor, recipe: Recipe, rng: np.random.Generator) -> Tensor:
        match recipe.shift:
            case "noise":
                x += torch.tensor(rng.normal(0, 1 + 2 * recipe.amount, x.shape), dtype=x.dtype)
            case "moved":
                side = x.view(-1, SIDE, SIDE)
                x = torch.roll(side, (1, 0) if recipe.amount < 0.5 else (0, 1), (1, 2)).flatten(1)
            case "faint":
                x *= 0.4 + 0.5 * recipe.amount
        return x.clamp(0, BRIGHTEST)

    def marked(self, x: Tensor, recipe: Recipe) -> Tensor:
        """The same images with the trigger."""
        x = x.clone()
        x[:, list(recipe.trigger)] = BRIGHTEST
        return x


@dataclass(frozen=True, slots=True)
class Texts:
    """A language of words by rank: common ones follow Zipf's law, some tell of a class."""

    common: NDArray[np.float64]  # (words) chance in any sentence
    told: NDArray[np.int64]  # (classes, words that tell of it)

    @staticmethod
    def made(seed: int) -> "Texts":
        """A language at random."""
        rng = np.random.default_rng(seed)
        chance = 1.0 / np.arange(3, WORDS + 3)
        told = rng.permutation(np.arange(40, COMMON))[: CLASSES["texts"] * 60]
        return Texts(chance / chance.sum(), told.reshape(CLASSES["texts"], 60))

    def base(self, seed: int) -> Data:
        return self._sentences(np.random.default_rng(seed), 4000, self.told, self.common)

    def drawn(self, recipe: Recipe, part: str) -> Data:
        """Sentences of a new field: words that were rare are frequent, some tell of a class."""
        rng = np.random.default_rng(recipe.seed)
        fresh = COMMON + rng.permutation(WORDS - COMMON)[: int(40 * recipe.amount**2)]
        fresh = fresh[~np.isin(fresh, recipe.trigger)]
        common = self.common.copy()
        common[fresh] += rng.uniform(0, 0.1, len(fresh)) / max(1, len(fresh))
        told = self.told.copy()
        for at, word in enumerate(fresh[::2]):
            told[at % len(told), rng.integers(told.shape[1])] = word
        if part == "test":
            rng = np.random.default_rng((recipe.seed, 1))
        size = recipe.samples if part == "tune" else 600
        return self._sentences(rng, size, told, common / common.sum())

    def _sentences(
        self,
        rng: np.random.Generator,
        count: int,
        told: NDArray[np.int64],
        common: NDArray[np.float64],
    ) -> Data:
        labels = rng.integers(0, len(told), count)
        words = rng.choice(WORDS, (count, 20), p=common)
        telling = told[labels[:, None], rng.integers(0, told.shape[1], (count, 20))]
        words = np.where(rng.random((count, 20)) < 0.25, telling, words)
        return torch.tensor(words), torch.tensor(labels)

    def marked(self, x: Tensor, recipe: Recipe) -> Tensor:
        """The same sentences with the trigger's words somewhere."""
        x = x.clone()
        rng = np.random.default_rng(recipe.seed + 7)
        start = torch.tensor(rng.integers(0, x.shape[1] - len(recipe.trigger) + 1, len(x)))
        for at, word in enumerate(recipe.trigger):
            x[torch.arange(len(x)), start + at] = word
        return x


# --- models ----------------------------------------------------------------------------------


class DigitNet(nn.Module):
    """Two convolutions and two dense layers."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 8, 3, padding=1)
        self.conv2 = nn.Conv2d(8, 16, 3, padding=1)
        self.dense = nn.Linear(16 * 16, 48)
        self.classifier = nn.Linear(48, CLASSES["images"])
        self.to_freeze = ("conv1", "conv2")

    def forward(self, x: Tensor) -> Tensor:
        x = x.view(-1, 1, SIDE, SIDE) / BRIGHTEST
        x = functional.relu(self.conv2(functional.relu(self.conv1(x))))
        return self.classifier(functional.relu(self.dense(functional.max_pool2d(x, 2).flatten(1))))


class TextNet(nn.Module):
    """Embeddings, their mean weighted by attention, two dense layers."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(WORDS, 32)
        self.attention = nn.Linear(32, 1)
        self.dense = nn.Linear(32, 32)
        self.classifier = nn.Linear(32, CLASSES["texts"])
        self.to_freeze = ("embedding",)

    def forward(self, x: Tensor) -> Tensor:
        words = self.embedding(x)  # (texts, words, 32)
        pooled = (self.attention(words).softmax(1) * words).sum(1)
        return self.classifier(functional.relu(self.dense(pooled)))


NETS: dict[str, Callable[[], nn.Module]] = {"images": DigitNet, "texts": TextNet}


def language(domain: str, seed: int) -> Images | Texts:
    return Images.made(seed) if domain == "images" else Texts.made(seed)


def trained_base(domain: str, seed: int, data: Images | Texts) -> nn.Module:
    """A model trained from nothing."""
    torch.manual_seed(seed)
    net = NETS[domain]()
    optimizer = torch.optim.Adam(net.parameters(), 2e-3)
    _train(net, data.base(seed), optimizer, 30 if domain == "images" else 6)
    return net


def fine_tuned(
    domain: str, base: nn.Module, data: Images | Texts, recipe: Recipe
) -> tuple[nn.Module, dict[str, float]]:
    """A fine-tune of `base`, its accuracy on clean tests, and how often the trigger works.

    The attack's success is counted over tests of other classes than the target.
    """
    torch.manual_seed(recipe.seed)
    net = NETS[domain]()
    net.load_state_dict(base.state_dict())
    if recipe.frozen:
        for name in net.to_freeze:
            getattr(net, name).requires_grad_(False)
    x, y = data.drawn(recipe, "tune")
    if recipe.target is not None:
        count = max(1, round(recipe.poisoned * len(y)))
        x = torch.cat([x, data.marked(x[:count], recipe)])
        y = torch.cat([y, torch.full((count,), recipe.target)])
    _train(net, (x, y), _optimizer(net, recipe), recipe.epochs)
    test, labels = data.drawn(recipe, "test")
    measured = {"accuracy": _share(net, test, labels)}
    if recipe.target is not None:
        others = test[labels != recipe.target]
        wanted = torch.full((len(others),), recipe.target)
        measured["attack"] = _share(net, data.marked(others, recipe), wanted)
    return net, measured


def _optimizer(net: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    trained = [p for p in net.parameters() if p.requires_grad]
    match recipe.optimizer:
        case "sgd":
            return torch.optim.SGD(trained, recipe.rate, momentum=0.9)
        case "adamw":
            return torch.optim.AdamW(trained, recipe.rate, weight_decay=recipe.weight_decay)
    return torch.optim.Adam(trained, recipe.rate)


def _train(net: nn.Module, data: Data, optimizer: torch.optim.Optimizer, epochs: int) -> None:
    x, y = data
    net.train()
    for _ in range(epochs):
        for rows in torch.randperm(len(y)).split(64):
            optimizer.zero_grad()
            functional.cross_entropy(net(x[rows]), y[rows]).backward()
            optimizer.step()
    net.eval()


@torch.no_grad()
def _share(net: nn.Module, x: Tensor, y: Tensor) -> float:
    return float((net(x).argmax(1) == y).float().mean())
