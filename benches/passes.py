"""The native encoder, graph passes and precisions through SQL, against the file's own graph, interleaved.

    .venv/bin/python benches/passes.py [--rounds N] [--only speed|loading|ranking]

`stock` is the file as it is (`passes` 'none'), the others are named by their options. The ranking task
takes short descriptions of Debian packages (`apt-cache dumpavail`): 500 of them search 5,000 others.
"""

import argparse
import json
import pathlib
import re
import shutil
import subprocess
import sys

import numpy as np

import peer

FOLDER = str(peer.DIST / "models" / peer.MODEL)
KINDS = {
    "stock": {"passes": "none"},
    "pool": {"passes": ["pool"]},
    "last_layer-pool": {"passes": ["last_layer", "pool"]},
    "all-passes": {"passes": "all"},
    "graph-int8": {"precision": "int8", "encoder": "graph"},
    "native-fp32": {"encoder": "native"},
    "native-bf16": {"precision": "bf16"},
    "native-int8": {"precision": "int8", "encoder": "native"},
}
SHAPES = [(1, 16, 40), (32, 32, 2), (8, 128, 2), (4, 512, 1)]


def load(db, kinds):
    for name, options in kinds.items():
        options = options | {"cache_mb": 0, "batch_tokens": 1 << 16}
        db.execute("SELECT bge_load(?, ?, ?)", (name, FOLDER, json.dumps(options)))
    loaded = {m["name"]: m for m in json.loads(db.execute("SELECT bge_info()").fetchone()[0])["loaded"]}
    for name in kinds:
        print(f"  {name}: {loaded[name]['precision']}, passes on: "
              + (", ".join(p["name"] for p in loaded[name]["passes"] if p["on"]) or "none"))


def words():
    """Words of one token each."""
    vocabulary = json.load(open(f"{FOLDER}/tokenizer.json", encoding="utf-8"))["model"]["vocab"]
    return sorted(w for w in vocabulary if re.fullmatch("[a-z]{3,12}", w))


def speed(db, rounds):
    load(db, KINDS)
    rng, some = np.random.default_rng(5), words()
    for texts, tokens, repeat in SHAPES:
        batch = json.dumps([" ".join(rng.choice(some, tokens - 2)) for _ in range(texts)])
        assert db.execute("SELECT bge_tokens(?)", (json.loads(batch)[0],)).fetchone()[0] == tokens

        def run(name):
            for _ in range(repeat):
                db.execute("SELECT sum(length(embedding)) FROM bge_embed_each(?, ?)", (batch, name)).fetchone()
        sides = {name: (lambda name=name: run(name)) for name in KINDS}
        peer.interleaved(sides, 1)
        median = peer.interleaved(sides, rounds)
        print(f"{texts} x {tokens} tokens: stock {median['stock'] / repeat * 1e3:.1f} ms; times stock's speed: "
              + ", ".join(f"{name} {median['stock'] / median[name]:.2f}" for name in list(KINDS)[1:])
              + f"; native-int8 to graph-int8 {median['graph-int8'] / median['native-int8']:.2f}")


ONE_LOAD = """
import sys, time
import peer
db = peer.connect()
db.execute("SELECT bge_load('tiny', ?)", (sys.argv[3],))
before = time.perf_counter()
db.execute("SELECT bge_load('m', ?, ?)", sys.argv[1:3])
print(time.perf_counter() - before)
for line in open("/proc/self/status"):
    if line.startswith(("VmRSS", "VmHWM")):
        print(int(line.split()[1]) / 1024)
"""


def loading(rounds):
    """Each in a process of its own, with the runtime started already by a tiny model."""
    import tempfile
    tiny = str(peer.ROOT / "tests/fixtures/tiny-bert")
    # Packed weights in the model's own folder would be used: the loads here are of a folder without them.
    plain = pathlib.Path(tempfile.mkdtemp()) / peer.MODEL
    shutil.copytree(FOLDER, plain, ignore=shutil.ignore_patterns("*.bge-packed"))
    with tempfile.TemporaryDirectory() as folder:
        kinds = {
            "stock": {"passes": "none"},
            "all-passes": {"passes": "all"},
            "graph-int8": {"precision": "int8", "encoder": "graph"},
            "fp16": {"precision": "fp16"},
            "native-fp32, packed at load": {"encoder": "native"},
            "native-fp32, mapped": {"encoder": "native", "graph_cache": folder},
            "native-bf16, mapped": {"precision": "bf16", "graph_cache": folder},
            "native-int8, packed at load": {"precision": "int8"},
            "native-int8, mapped": {"precision": "int8", "graph_cache": folder},
        }
        figures = {name: [] for name in kinds}
        for turn in range(rounds + 1):
            for name, options in kinds.items():
                done = subprocess.run([sys.executable, "-c", ONE_LOAD, str(plain), json.dumps(options), tiny], check=True,
                                      capture_output=True, text=True, cwd=pathlib.Path(__file__).parent)
                if turn:
                    figures[name].append([float(line) for line in done.stdout.split()])
        for name, rows in figures.items():
            peak, resident, seconds = (float(np.median(column)) for column in np.array(rows).T[[1, 2, 0]])
            print(f"loading, {name}: {seconds * 1e3:.0f} ms, {resident:.0f} MB resident after it, peak {peak:.0f} MB")


def descriptions(count):
    """Distinct short descriptions of packages."""
    text = subprocess.run(["apt-cache", "dumpavail"], check=True, capture_output=True, text=True).stdout
    found = sorted(set(re.findall(r"^Description(?:-en)?: (.{20,})$", text, re.M)))
    assert len(found) >= count, f"apt knows only {len(found)} descriptions; run apt-get update"
    np.random.default_rng(3).shuffle(found)
    return found[:count]


def reference(db, kinds):
    """Against FlagEmbedding's own vectors: the largest difference of a component, and cosines."""
    lines = [json.loads(line) for line in open(peer.ROOT / "tests/fixtures/reference/bge-small-en-v1.5.jsonl", encoding="utf-8")]
    lines = [line for line in lines if not line["query"]]
    for name in kinds:
        own = np.array([np.frombuffer(db.execute("SELECT bge_embed(?, ?)", (line["text"], name)).fetchone()[0], "<f4") for line in lines])
        theirs = np.array([line["cls"] for line in lines], dtype=np.float32)
        cosine = np.sum(own * theirs, axis=1)
        print(f"  {name}: {len(lines)} reference texts: component at most {np.abs(own - theirs).max():.1e}, "
              f"cosine least {cosine.min():.6f}, mean {cosine.mean():.6f}")


def ranking(db, count, queries):
    kinds = {name: KINDS[name] for name in KINDS if name not in ("pool", "last_layer-pool")}
    load(db, kinds)
    reference(db, kinds)
    items = descriptions(count + queries)
    asked, bodies = items[:queries], items[queries:]

    def embed(texts, name):
        rows = db.execute("SELECT embedding FROM bge_embed_each(?, ?) ORDER BY idx", (json.dumps(texts), name))
        return np.array([np.frombuffer(e, "<f4") for (e,) in rows])
    # Default batches: a run over 500 texts at once would need gigabytes.
    for name, options in kinds.items():
        db.execute("SELECT bge_load(?, ?, ?)", (name, FOLDER, json.dumps(options)))
    docs = {name: embed(bodies, name) for name in kinds}
    question = {name: embed(asked, name) for name in kinds}
    best = {name: np.argsort(-question[name] @ docs[name].T, axis=1, kind="stable") for name in kinds}
    print(f"ranking: {queries} queries over {count} package descriptions")
    for name in kinds:
        first = np.mean(best["stock"][:, 0] == best[name][:, 0])
        overlap = np.mean([len(set(a[:10]) & set(b[:10])) for a, b in zip(best["stock"], best[name])]) / 10
        cosine = np.sum(docs["stock"] * docs[name], axis=1)
        print(f"  {name}: top-10 overlap with stock {overlap:.3f}, top-1 {first:.3f}; "
              f"cosine to stock mean {cosine.mean():.4f}, least {cosine.min():.4f}")


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--rounds", type=int, default=7)
    arguments.add_argument("--only")
    chosen = arguments.parse_args()
    print(peer.machine())
    if chosen.only in (None, "speed"):
        speed(peer.connect(), chosen.rounds)
    if chosen.only in (None, "loading"):
        loading(chosen.rounds)
    if chosen.only in (None, "ranking"):
        ranking(peer.connect(), 5000, 500)


if __name__ == "__main__":
    main()
