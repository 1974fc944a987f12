"""The two sides of every timing: the extension in a SQLite host, and ONNX Runtime's own Python API.

Both use the model in dist/, the same ONNX Runtime version, the same number of threads and the same
spinning setting (`session.force_spinning_stop`, as the extension has it), unless a bench says
otherwise. Rounds are interleaved and medians compared: machines are noisy, ratios less so.
"""

import os
import pathlib
import statistics
import time

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

import apsw
import numpy as np
import onnxruntime
import tokenizers

ROOT = pathlib.Path(__file__).resolve().parent.parent
DIST = pathlib.Path(os.environ.get("BGE_DIST", ROOT / "dist"))
MODEL = "bge-small-en-v1.5"


class Peer:
    """Plain ONNX Runtime in Python: tokenizer, session, CLS pooling, L2 normalisation."""

    def __init__(self, stop_spinning=True, threads=0):
        folder = DIST / "models" / MODEL
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads or len(os.sched_getaffinity(0))
        if stop_spinning:
            options.add_session_config_entry("session.force_spinning_stop", "1")
        self.session = onnxruntime.InferenceSession(
            str(folder / "onnx/model.onnx"), options, providers=["CPUExecutionProvider"])
        self.tokenizer = tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json"))
        self.tokenizer.enable_truncation(512)

    def embed(self, texts):
        """[texts, dims] for one batch, padded to its longest text."""
        self.tokenizer.enable_padding()
        encodings = self.tokenizer.encode_batch(texts)
        ids = np.array([e.ids for e in encodings], dtype=np.int64)
        mask = np.array([e.attention_mask for e in encodings], dtype=np.int64)
        feeds = {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}
        cls = self.session.run(["last_hidden_state"], feeds)[0][:, 0]
        return cls / np.maximum(np.linalg.norm(cls, axis=1, keepdims=True), 1e-12)


def connect():
    """A connection with the extension of dist/ loaded."""
    db = apsw.Connection(":memory:")
    db.enable_load_extension(True)
    db.load_extension(str(DIST / "libbge"))
    return db


def interleaved(sides, rounds):
    """Runs {name: function} in turn; gives {name: median seconds}."""
    times = {name: [] for name in sides}
    for _ in range(rounds):
        for name, run in sides.items():
            start = time.perf_counter()
            run()
            times[name].append(time.perf_counter() - start)
    return {name: statistics.median(values) for name, values in times.items()}


def machine():
    """One line for the reports: CPU, cores, date."""
    names = [line.split(":", 1)[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")]
    flags = next(line for line in open("/proc/cpuinfo") if line.startswith("flags"))
    simd = "AVX-512 VNNI" if "avx512_vnni" in flags else "AVX2" if "avx2" in flags else "no AVX2"
    return f"{names[0]} ({simd}), {len(os.sched_getaffinity(0))} cores, {time.strftime('%Y-%m-%d')}"
