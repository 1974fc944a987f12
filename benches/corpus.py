"""Real texts and vectors for the benches of the index: short descriptions of Debian packages, as apt
knows them, and their embeddings by bge-small.

Embedding 20,500 texts takes some minutes, so it is done once and kept in target/bench-cache, by the
texts' hash: other package lists make another file. `PYTHONPATH=benches python -m corpus` only does that.
"""

import hashlib
import random
import re
import subprocess

import numpy as np

import peer

CACHE = peer.ROOT / "target/bench-cache"
QUERIES = 500


def descriptions(count):
    """`count` different texts, "name: what it is", in random but fixed order."""
    listed = subprocess.run(["apt-cache", "dumpavail"], check=True, capture_output=True, text=True).stdout
    texts = {}
    for package in listed.split("\n\n"):
        name = re.search(r"^Package: (.*)$", package, re.M)
        about = re.search(r"^Description(?:-en)?: (.*)$", package, re.M)
        if name and about and not re.search(r"-(dev|dbg|dbgsym|doc|data|common)$", name[1]):
            texts.setdefault(about[1], f"{name[1]}: {about[1]}")
    if len(texts) < count:
        raise SystemExit(f"apt knows {len(texts)} descriptions, {count} are wanted; run: sudo apt-get update")
    return random.Random(3).sample(sorted(texts.values()), count)


def split(rows):
    """`rows` texts to index and QUERIES others to ask for: the descriptions without their names."""
    texts = descriptions(rows + QUERIES)
    return texts[:rows], [text.split(": ", 1)[1] for text in texts[rows:]]


def embedded(rows):
    """Vectors of the texts and of the queries of `split(rows)`, f32."""
    texts, queries = split(rows)
    return kept("rows", texts, "bge_embed"), kept("queries", queries, "bge_embed_query")


def kept(name, texts, function):
    key = hashlib.sha256("\n".join([function, *texts]).encode()).hexdigest()[:16]
    file = CACHE / f"{name}-{len(texts)}-{key}.npy"
    if not file.exists():
        print(f"embedding {len(texts)} texts into {file.relative_to(peer.ROOT)}", flush=True)
        CACHE.mkdir(parents=True, exist_ok=True)
        unfinished = file.with_suffix(".new.npy")
        np.save(unfinished, embed(texts, function))
        unfinished.rename(file)
    return np.load(file)


def embed(texts, function):
    db = peer.connect()
    if function == "bge_embed_query":
        blobs = [db.execute("SELECT bge_embed_query(?)", (text,)).fetchone()[0] for text in texts]
    else:
        db.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, body TEXT)")
        with db:
            db.executemany("INSERT INTO t(body) VALUES (?)", ((text,) for text in texts))
        found = dict(db.execute("SELECT key, embedding FROM bge_batch('SELECT id, body FROM t')"))
        blobs = [found[n + 1] for n in range(len(texts))]
    return np.frombuffer(b"".join(blobs), "<f4").reshape(len(texts), -1)


def enlarged(vectors, count, noise=0.035):
    """`count` unit vectors: each real one several times, moved by Gaussian noise of `noise` a dimension.

    With 384 dimensions 0.035 moves a vector by 0.69: copies are at a cosine of some 0.82 to their
    original and 0.68 to each other.
    """
    rng = np.random.default_rng(5)
    many = np.tile(vectors, (-(-count // len(vectors)), 1))[:count].astype(np.float32)
    many += rng.standard_normal(many.shape, dtype=np.float32) * np.float32(noise)
    return many / np.linalg.norm(many, axis=1, keepdims=True)


if __name__ == "__main__":
    embedded(20_000)
