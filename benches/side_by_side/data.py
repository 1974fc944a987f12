"""What the sides are given, made once and kept in target/bench-cache: `PYTHON data.py WHAT PLACES OPTIONS...`.

A process of its own, because the program that starts the others must stay small: a child's peak memory is
never less than its parent's. Prints JSON.
"""

import json
import pathlib
import random
import re
import sys

import numpy as np

BENCHES = pathlib.Path(__file__).resolve().parent.parent
ROOT = BENCHES.parent
CACHE = ROOT / "target/bench-cache"
REFERENCE = ROOT / "tests/fixtures/reference/bge-small-en-v1.5.jsonl"
INSTRUCTION = "Represent this sentence for searching relevant passages: "
TOP, QUERIES = 10, 50
sys.path.insert(0, str(BENCHES))


def written(name, texts, tokenizer):
    """The file of some texts, and what they are."""
    file = CACHE / f"texts-{name}-{len(texts)}.json"
    CACHE.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(texts), encoding="utf-8")
    lengths = [len(e.ids) for e in tokenizer.encode_batch(texts)]
    return {"file": str(file), "texts": len(texts), "tokens": round(sum(lengths) / len(lengths), 1)}


def tokenizer_of(places):
    import tokenizers
    tokenizer = tokenizers.Tokenizer.from_file(f"{places['model']}/tokenizer.json")
    tokenizer.enable_truncation(512)
    return tokenizer


def bulk(places, sentences, paragraphs, long):
    """Sentences, paragraphs of 100 to 200 tokens, and texts that are cut at 512."""
    import texts
    tokenizer = tokenizer_of(places)
    of_512 = texts.paragraphs(long, 740, 760)
    return {"sentences": written("sentences", texts.sentences(sentences), tokenizer),
            "paragraphs": written("paragraphs", texts.paragraphs(paragraphs), tokenizer),
            "texts of 512 tokens": written("long", of_512, tokenizer)}


def words(places, count, tokens):
    """Different texts of exactly so many tokens: words of one token each."""
    tokenizer = tokenizer_of(places)
    known = sorted(w for w in tokenizer.get_vocab() if re.fullmatch("[a-z]{3,12}", w))
    chance = random.Random(5)
    made = [" ".join(chance.choices(known, k=tokens - 2)) for _ in range(count)]
    assert all(len(tokenizer.encode(text).ids) == tokens for text in made)
    return made


def accuracy(places, descriptions, queries):
    """The texts with FlagEmbedding's vectors, and package descriptions with queries."""
    import corpus
    rows = [json.loads(line) for line in REFERENCE.read_text(encoding="ascii").splitlines()]
    CACHE.mkdir(parents=True, exist_ok=True)
    np.save(CACHE / "reference.npy", np.array([row["cls"] for row in rows], np.float32))
    np.save(CACHE / "reference-ascii.npy", np.array([row["text"].isascii() and row["text"].isprintable() for row in rows]))
    texts = corpus.descriptions(descriptions + queries)
    tokenizer = tokenizer_of(places)
    return {"reference": written("reference", [INSTRUCTION * row["query"] + row["text"] for row in rows], tokenizer),
            "descriptions": written("descriptions", texts[:descriptions], tokenizer),
            "queries": written("queries", [text.split(": ", 1)[1] for text in texts[descriptions:]], tokenizer)}


def vectors(places, rows, real):
    """Unit vectors, queries, and the ten nearest of each query by brute force, as rowids from 1.

    Real ones repeated with noise (corpus.enlarged); where `real` is 0, made ones, for tries."""
    files = {name: CACHE / f"vectors-{rows}-{real}-{name}.npy" for name in ("all", "queries", "exact")}
    if not all(file.exists() for file in files.values()):
        if real:
            import corpus
            base, asked = corpus.embedded(real)
            many = corpus.enlarged(base, rows)
        else:
            chance = np.random.default_rng(1)
            many = chance.standard_normal((rows + QUERIES, 48), dtype="f4") @ chance.standard_normal((48, 384), dtype="f4")
            many /= np.linalg.norm(many, axis=1, keepdims=True)
            many, asked = many[:rows], many[rows:]
        asked = np.ascontiguousarray(asked[:QUERIES])
        CACHE.mkdir(parents=True, exist_ok=True)
        scores = asked @ many.T
        np.save(files["exact"], np.argpartition(-scores, TOP, axis=1)[:, :TOP] + 1)
        np.save(files["queries"], asked)
        np.save(files["all"], many)
    return {name: str(file) for name, file in files.items()}


if __name__ == "__main__":
    what, places, *numbers = sys.argv[1:]
    print(json.dumps(globals()[what](json.loads(places), *map(int, numbers))))
