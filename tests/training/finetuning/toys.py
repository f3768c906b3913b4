"""Data sets that a tiny model learns in seconds, made from a seed."""

import csv
import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from PIL import Image

GOOD, BAD = ("good", "great", "fine", "lovely"), ("bad", "poor", "awful", "sad")
PLAIN = ("the", "film", "was", "and", "a", "book", "very", "it", "we")


def reviews(path: Path, count: int, seed: int = 0) -> Path:
    """Texts with one word that says whether they are `good` or `bad`."""
    chance = random.Random(seed)
    with path.open("w", newline="") as file:
        written = csv.writer(file)
        written.writerow(("text", "label"))
        for _ in range(count):
            label = chance.choice(("good", "bad"))
            words = chance.choices(PLAIN, k=6)
            words[chance.randrange(6)] = chance.choice(GOOD if label == "good" else BAD)
            written.writerow((" ".join(words), label))
    return path


def _json_lines(path: Path, rows: Iterator[dict[str, Any]]) -> Path:
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    return path


def opinions(path: Path, count: int = 200) -> Path:
    """Words of an opinion are spans: `B-GOOD I-GOOD` and `B-BAD`."""

    def rows() -> Iterator[dict[str, Any]]:
        chance = random.Random(1)
        for _ in range(count):
            tokens, tags = chance.choices(PLAIN, k=5), ["O"] * 5
            at = chance.randrange(4)
            tokens[at : at + 2], tags[at : at + 2] = chance.choices(GOOD, k=2), ["B-GOOD", "I-GOOD"]
            yield {"tokens": [*tokens, chance.choice(BAD)], "ner_tags": [*tags, "B-BAD"]}

    return _json_lines(path, rows())


def pairs(path: Path, count: int = 200) -> Path:
    """Two texts that mean the same if they are both good or both bad."""

    def rows() -> Iterator[dict[str, Any]]:
        chance = random.Random(2)
        for _ in range(count):
            one, other = chance.choice((GOOD, BAD)), chance.choice((GOOD, BAD))
            first, second = (
                " ".join((*chance.choices(PLAIN, k=2), chance.choice(side)))
                for side in (one, other)
            )
            yield {"sentence1": first, "sentence2": second, "score": float(one is other)}

    return _json_lines(path, rows())


def triplets(path: Path, count: int = 200) -> Path:
    """A text, one of the same side, and one of the other."""

    def rows() -> Iterator[dict[str, Any]]:
        chance = random.Random(3)
        for _ in range(count):
            one, other = chance.sample((GOOD, BAD), 2)
            texts = [
                " ".join((*chance.choices(PLAIN, k=2), chance.choice(side)))
                for side in (one, one, other)
            ]
            yield dict(zip(("anchor", "positive", "negative"), texts, strict=True))

    return _json_lines(path, rows())


def stories(path: Path, count: int = 200) -> Path:
    """Every text goes on in the same way."""

    def rows() -> Iterator[dict[str, Any]]:
        chance = random.Random(4)
        for _ in range(count):
            start = " ".join(chance.choices(PLAIN, k=4))
            yield {"prompt": start, "completion": "film was very good and we was sad"}

    return _json_lines(path, rows())


def opposites(path: Path, count: int = 300) -> Path:
    """A good word becomes a bad one, and the other way round."""

    def rows() -> Iterator[dict[str, Any]]:
        chance = random.Random(5)
        turned = dict(zip((*GOOD, *BAD), (*BAD, *GOOD), strict=True))
        for _ in range(count):
            word, noun = chance.choice(tuple(turned)), chance.choice(("film", "book"))
            yield {"source": f"{word} {noun}", "target": f"{turned[word]} {noun}"}

    return _json_lines(path, rows())


COLOURS = {"red": (220, 30, 30), "green": (30, 220, 30), "blue": (30, 30, 220)}


def colours(folder: Path, count: int = 60) -> Path:
    """Pictures of noise with a tint, in the folder of its name."""
    chance = np.random.default_rng(6)
    for number in range(count):
        name = tuple(COLOURS)[number % len(COLOURS)]
        noise = chance.integers(-25, 25, (20, 16, 3))
        _picture(folder / name / f"{number}.png", np.asarray(COLOURS[name]) + noise)
    return folder


def squares(folder: Path, count: int = 60) -> Path:
    """Pictures with a red or blue square, and where it is."""
    chance = np.random.default_rng(7)

    def rows() -> Iterator[dict[str, Any]]:
        for number in range(count):
            name = ("red", "blue")[number % 2]
            left, top = (int(one) for one in chance.integers(0, 8, 2))
            pixels = np.full((16, 16, 3), 128)
            pixels[top : top + 8, left : left + 8] = COLOURS[name]
            _picture(folder / f"{number}.png", pixels)
            objects = {"bbox": [[left, top, 8, 8]], "category": [name]}
            yield {"file_name": f"{number}.png", "objects": objects}

    folder.mkdir(parents=True)
    _json_lines(folder / "metadata.jsonl", rows())
    return folder


def captions(folder: Path, count: int = 30) -> Path:
    """Pictures of one colour, and its name as their caption."""

    def rows() -> Iterator[dict[str, Any]]:
        for number in range(count):
            name = tuple(COLOURS)[number % len(COLOURS)]
            _picture(folder / f"{number}.png", np.full((16, 16, 3), COLOURS[name]))
            yield {"file_name": f"{number}.png", "text": f"a {name} picture {number}"}

    folder.mkdir(parents=True)
    _json_lines(folder / "metadata.jsonl", rows())
    return folder


def _picture(path: Path, pixels: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)).save(path)


PITCHES = {"y": 400, "e": 800, "s": 1200, "n": 1800, "o": 2600}


def answers(folder: Path, count: int = 60) -> Path:
    """Yes and no, each letter a tone of a quarter of a second, recorded at 16 kHz."""
    chance = np.random.default_rng(8)
    time = np.arange(4000) / 16000

    def rows() -> Iterator[dict[str, Any]]:
        for number in range(count):
            word = ("yes", "no")[number % 2]
            tones = [0.5 * np.sin(2 * np.pi * PITCHES[letter] * time) for letter in word]
            sound = np.concatenate(tones)
            noise = 0.02 * chance.normal(size=sound.shape)
            soundfile.write(folder / f"{number}.wav", sound + noise, 16000)
            yield {"file_name": f"{number}.wav", "text": word}

    folder.mkdir(parents=True)
    _json_lines(folder / "metadata.jsonl", rows())
    return folder
