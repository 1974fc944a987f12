"""The sides that embed: sqlite-bge in each precision and its peers, each with the call that a user would write.

A side is made in its worker's process alone (worker.py), so only its own library is imported there. It has
`prepare(texts)`, not timed; `bulk(prepared)`, what is timed for a whole table; `vectors(done)`, [texts, 384]
of what `bulk` gave; `one(text)`, timed for one text; `versions()`.

Every peer gets the help that a good script gives: texts sorted by length, 32 a batch, all cores.
"""

import json
import os
import pathlib

# The libraries of the peers would ask their hub for news of the model.
OFFLINE = {"ORT_DISABLE_TELEMETRY": "1", "HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", "HF_HUB_DISABLE_TELEMETRY": "1",
           "TOKENIZERS_PARALLELISM": "true"}
MODEL = "bge-small-en-v1.5"
BATCH = 32


class Refused(Exception):
    """The side cannot be had here; the message says why."""


def refusal(message):
    """Why sqlite-bge has no such side, from its error."""
    return "this library does not offer the precision" if "option precision is" in message else message[:300]


class Bge:
    """sqlite-bge in a SQLite host (apsw): `bge_batch` from a table into a table, `bge_embed` for one text."""

    def __init__(self, places, precision):
        import apsw
        self.db = apsw.Connection(":memory:")
        self.db.enable_load_extension(True)
        self.db.load_extension(str(pathlib.Path(places["dist"]) / "libbge"))
        try:
            self.db.execute("SELECT bge_load('m', ?, ?)", (places["model"], json.dumps({"precision": precision})))
        except apsw.Error as error:
            raise Refused(refusal(str(error))) from None
        self.db.execute("CREATE TABLE docs(id INTEGER PRIMARY KEY, body TEXT); CREATE TABLE emb(id INTEGER PRIMARY KEY, v BLOB)")

    def prepare(self, texts):
        with self.db:
            self.db.execute("DELETE FROM docs; DELETE FROM emb")
            self.db.executemany("INSERT INTO docs(body) VALUES (?)", ((text,) for text in texts))

    def bulk(self, _):
        self.db.execute("DELETE FROM emb")
        self.db.execute("INSERT INTO emb SELECT key, embedding FROM bge_batch('SELECT id, body FROM docs', 'm')")

    def vectors(self, _):
        import numpy as np
        return np.array([np.frombuffer(v, "<f4") for (v,) in self.db.execute("SELECT v FROM emb ORDER BY id")])

    def one(self, text):
        return self.db.execute("SELECT bge_embed(?, 'm')", (text,)).fetchone()[0]

    def versions(self):
        version, sqlite, info = self.db.execute("SELECT bge_version(), sqlite_version(), bge_info()").fetchone()
        return {"sqlite-bge": version, "SQLite": sqlite, "ONNX Runtime": json.loads(info)["runtime"]["version"]}


class Peer:
    """A peer whose `embed(texts)` gives [texts, 384] of one batch."""

    packages = ()

    def prepare(self, texts):
        return texts

    def bulk(self, texts):
        import numpy as np
        order = sorted(range(len(texts)), key=lambda n: len(texts[n]))
        rows = np.empty((len(texts), 384), np.float32)
        for start in range(0, len(texts), BATCH):
            chosen = order[start:start + BATCH]
            rows[chosen] = self.embed([texts[n] for n in chosen])
        return rows

    def vectors(self, done):
        return done

    def one(self, text):
        return self.embed([text])[0]

    def versions(self):
        import importlib.metadata
        return {name: importlib.metadata.version(name) for name in self.packages}


class OnnxRuntime(Peer):
    """Plain ONNX Runtime: tokenizer, session, CLS, L2 norm. Spins as little as sqlite-bge does."""

    packages = ("onnxruntime", "tokenizers")

    def __init__(self, places):
        import numpy as np
        import onnxruntime
        import tokenizers
        self.np = np
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = len(os.sched_getaffinity(0))
        options.add_session_config_entry("session.force_spinning_stop", "1")
        model = pathlib.Path(places["model"])
        self.session = onnxruntime.InferenceSession(str(model / "onnx/model.onnx"), options, providers=["CPUExecutionProvider"])
        self.tokenizer = tokenizers.Tokenizer.from_file(str(model / "tokenizer.json"))
        self.tokenizer.enable_truncation(512)
        self.tokenizer.enable_padding()

    def embed(self, texts):
        encodings = self.tokenizer.encode_batch(texts)
        ids = self.np.array([e.ids for e in encodings], dtype=self.np.int64)
        mask = self.np.array([e.attention_mask for e in encodings], dtype=self.np.int64)
        feeds = {"input_ids": ids, "attention_mask": mask, "token_type_ids": self.np.zeros_like(ids)}
        cls = self.session.run(["last_hidden_state"], feeds)[0][:, 0]
        return cls / self.np.maximum(self.np.linalg.norm(cls, axis=1, keepdims=True), 1e-12)


class FastEmbed(Peer):
    """fastembed on the same ONNX file, added to it as its documents say."""

    packages = ("fastembed", "onnxruntime")

    def __init__(self, places):
        from fastembed import TextEmbedding
        from fastembed.common.model_description import ModelSource, PoolingType
        folder = str(pathlib.Path(places["peer_models"]) / "hugging-face")
        TextEmbedding.add_custom_model(model=MODEL, pooling=PoolingType.CLS, normalization=True, dim=384,
                                       sources=ModelSource(hf="BAAI/" + MODEL), model_file="onnx/model.onnx")
        self.model = TextEmbedding(MODEL, specific_model_path=folder, cuda=False)

    def embed(self, texts):
        return list(self.model.embed(texts, batch_size=BATCH))


class SentenceTransformers(Peer):
    """sentence-transformers on PyTorch, CPU; it sorts by length itself."""

    packages = ("sentence-transformers", "transformers", "torch")

    def __init__(self, places):
        from sentence_transformers import SentenceTransformer
        self.model = SentenceTransformer(str(pathlib.Path(places["peer_models"]) / "hugging-face"), device="cpu")

    def bulk(self, texts):
        return self.model.encode(texts, batch_size=BATCH, show_progress_bar=False)

    def embed(self, texts):
        return self.model.encode(texts, batch_size=BATCH, show_progress_bar=False)


class FastTextEmbed(Peer):
    """fasttextembed: C of its own with float16 weights; it takes all texts at once."""

    packages = ("fasttextembed",)

    def __init__(self, places):
        from fasttextembed import TextEmbedding
        folder = pathlib.Path(places["peer_models"]) / "fasttextembed"
        self.model = TextEmbedding(str(folder / "model.fte"), str(folder / "vocab.tsv"))

    def bulk(self, texts):
        import numpy as np
        return np.array(self.model.embed(texts), np.float32)

    def embed(self, texts):
        return self.model.embed(texts)

    def one(self, text):
        return self.model.embed_one(text)


# name: (how it is called in the tables, whether it lives in the peers' environment, how it is made)
SIDES = {
    "bge-fp32": ("sqlite-bge, fp32 (the default)", False, lambda places: Bge(places, "fp32")),
    "bge-bf16": ("sqlite-bge, bf16", False, lambda places: Bge(places, "bf16")),
    "bge-int8": ("sqlite-bge, int8", False, lambda places: Bge(places, "int8")),
    "onnxruntime": ("Python with ONNX Runtime", False, OnnxRuntime),
    "fastembed": ("fastembed", True, FastEmbed),
    "sentence-transformers": ("sentence-transformers", True, SentenceTransformers),
    "fasttextembed": ("fasttextembed", True, FastTextEmbed),
}
# What speed, vectors and ranking are compared with.
BASE = "onnxruntime"


def label(side):
    return SIDES[side][0]


def make(side, places):
    return SIDES[side][2](places)
