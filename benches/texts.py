"""Texts for the benches: real sentences of the help desk in examples/, the same on every machine."""

import csv
import pathlib
import random
import re

ARTICLES = pathlib.Path(__file__).resolve().parent.parent / "examples/helpdesk/articles.csv"


def bodies():
    with open(ARTICLES, encoding="utf-8", newline="") as file:
        return [row["body"] for row in csv.DictReader(file)]


def sentences(count):
    """Distinct short texts: sentences, and after the first round pairs of clauses of two of them."""
    rng = random.Random(7)
    base = [s.strip() for body in bodies() for s in re.split(r"(?<=[.?!]) ", body) if s.strip()]
    texts = list(base)
    while len(texts) < count:
        first, second = rng.sample(base, 2)
        texts.append(first.split(",")[0] + ", " + second[0].lower() + second[1:])
    rng.shuffle(texts)
    return texts[:count]


def paragraphs(count, least=100, most=200):
    """Distinct texts of about `least` to `most` tokens (four tokens for three words): bodies joined."""
    rng = random.Random(11)
    base, texts = bodies(), []
    while len(texts) < count:
        wanted = rng.randint(least, most) * 3 // 4
        words = " ".join(rng.sample(base, 8)).split()
        texts.append(" ".join(words[:wanted]))
    return texts
