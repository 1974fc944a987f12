"""The native encoder under a reranker's head against the graph, through SQL, interleaved in one run.

    .venv/bin/python benches/reranking.py [--rounds N] [--pairs N]

Real rerankers cannot be had on the machine of the project. This one is bge-small with a head of random weights, made
into target/: the time of a pair is that of a reranker with so many layers, and its scores say how far a precision
moves a logit. They say nothing of quality.
"""

import argparse
import json
import shutil

import numpy as np
import onnx
import peer
import texts
from onnx import TensorProto, helper, numpy_helper

QUERY = "how do i reset the router to the settings it came with"
FOLDER = peer.ROOT / "target" / "bench-reranker"
SIDES = {
    "graph-stock": {"encoder": "graph", "passes": "none"},
    "graph": {"encoder": "graph"},
    "graph-int8": {"encoder": "graph", "precision": "int8"},
    "native-fp32": {"encoder": "native"},
    "native-bf16": {"encoder": "native", "precision": "bf16"},
    "native-int8": {"encoder": "native", "precision": "int8"},
}


def make_model():
    """bge-small's graph with BERT's pooler and one label on it."""
    source = peer.DIST / "models" / peer.MODEL
    shutil.rmtree(FOLDER, ignore_errors=True)
    (FOLDER / "onnx").mkdir(parents=True)
    shutil.copy(source / "tokenizer.json", FOLDER)
    config = json.loads((source / "config.json").read_text())
    config |= {"architectures": ["BertForSequenceClassification"], "id2label": {"0": "LABEL_0"}}
    (FOLDER / "config.json").write_text(json.dumps(config))
    model = onnx.load(source / "onnx" / "model.onnx")
    random, hidden, graph = np.random.default_rng(18), config["hidden_size"], model.graph

    def weights(name, *shape, deviation):
        values = (deviation * random.standard_normal(shape)).astype(np.float32)
        graph.initializer.append(numpy_helper.from_array(values, name))

    weights("pooler.weight", hidden, hidden, deviation=hidden ** -0.5)
    weights("pooler.bias", hidden, deviation=0.1)
    weights("classifier.weight", 1, hidden, deviation=0.5)
    weights("classifier.bias", 1, deviation=0.1)
    graph.initializer.append(numpy_helper.from_array(np.array(0, np.int64), "first"))
    graph.node.extend([
        helper.make_node("Gather", ["last_hidden_state", "first"], ["first_state"], axis=1),
        helper.make_node("Gemm", ["first_state", "pooler.weight", "pooler.bias"], ["pooled"], transB=1),
        helper.make_node("Tanh", ["pooled"], ["bent"]),
        helper.make_node("Gemm", ["bent", "classifier.weight", "classifier.bias"], ["logits"], transB=1)])
    del graph.output[:]
    graph.output.append(helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", 1]))
    onnx.save(model, FOLDER / "onnx" / "model.onnx")


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--rounds", type=int, default=3)
    arguments.add_argument("--pairs", type=int, default=40)
    arguments = arguments.parse_args()
    make_model()
    db = peer.connect()
    for side, options in SIDES.items():
        db.execute("SELECT bge_load(?, ?, ?)", (side, str(FOLDER), json.dumps(options)))
    found = json.loads(next(db.execute("SELECT bge_info()"))[0])["loaded"]
    for model in found:
        assert model["name"].startswith(model["encoder"]["kind"]), model
    scores = {}

    def rerank(side, items):
        rows = db.execute("SELECT score FROM bge_rerank_each(?, ?, ?)", (QUERY, json.dumps(items), side))
        scores[side] = np.array([score for score, in rows])

    for what, count in (("sentences", 4 * arguments.pairs), ("paragraphs", arguments.pairs)):
        items = getattr(texts, what)(count)
        seconds = peer.interleaved({side: (lambda side=side: rerank(side, items)) for side in SIDES}, arguments.rounds)
        stock = scores["graph-stock"]
        print(f"{what}, {count} pairs, scores from {stock.min():.2f} to {stock.max():.2f}, deviation {stock.std():.2f}")
        for side in SIDES:
            off = np.abs(scores[side] - stock)
            print(f"  {side}: {seconds[side] / count * 1e3:.2f} ms a pair, {seconds['graph-stock'] / seconds[side]:.2f} times; "
                  f"scores off by {off.max():.1e}, mean {off.mean():.1e}")


if __name__ == "__main__":
    main()
