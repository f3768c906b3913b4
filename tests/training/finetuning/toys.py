"""Data sets that a tiny model learns in seconds, made from a seed."""

import csv
import random
from pathlib import Path

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
