"""The model of dist/ in the forms that the peers read, made from its own weights without a network.

    target/peers/bin/python benches/side_by_side/peer_models.py MODEL_FOLDER INTO

fastembed takes the ONNX file with a tokenizer_config.json; sentence-transformers takes safetensors, with the
weights that the ONNX export has turned over turned back; fasttextembed takes a file of its own (float16
weights, in the layout of its tools/convert.py) and a list of the vocabulary.
"""

import importlib.util
import json
import pathlib
import re
import shutil
import struct
import sys

import numpy as np
import onnx
from onnx import numpy_helper
from safetensors.numpy import save_file

TOKENIZER = {"tokenizer_class": "BertTokenizer", "do_lower_case": True, "model_max_length": 512, "unk_token": "[UNK]",
             "cls_token": "[CLS]", "sep_token": "[SEP]", "pad_token": "[PAD]", "mask_token": "[MASK]"}
MODULES = [
    {"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"},
    {"idx": 1, "name": "1", "path": "1_Pooling", "type": "sentence_transformers.models.Pooling"},
    {"idx": 2, "name": "2", "path": "2_Normalize", "type": "sentence_transformers.models.Normalize"},
]


def weights(model):
    """{name as in PyTorch: array}. A dense layer's matrix has no name of its own in the file: its node has."""
    arrays = {i.name: numpy_helper.to_array(i) for i in model.graph.initializer}
    named = {name: a for name, a in arrays.items() if re.match(r"(embeddings|encoder)\.", name)}
    for node in model.graph.node:
        if node.op_type == "MatMul" and node.input[1] in arrays:
            layer = node.name.removesuffix("/MatMul").strip("/").replace("/", ".")
            named[f"{layer}.weight"] = np.ascontiguousarray(arrays[node.input[1]].T)
    return named


def write_hugging_face(folder, named, into):
    """A folder for fastembed and sentence-transformers."""
    shutil.copytree(folder, into)
    (into / "tokenizer_config.json").write_text(json.dumps(TOKENIZER))
    (into / "special_tokens_map.json").write_text(
        json.dumps({key: value for key, value in TOKENIZER.items() if key.endswith("_token")}))
    (into / "sentence_bert_config.json").write_text(json.dumps({"max_seq_length": 512, "do_lower_case": True}))
    (into / "modules.json").write_text(json.dumps(MODULES))
    (into / "2_Normalize").mkdir()
    save_file(named, into / "model.safetensors", metadata={"format": "pt"})


def library_names():
    """The names under which fasttextembed's library looks for its 36 dense matrices, in the graph's order."""
    folder = pathlib.Path(importlib.util.find_spec("fasttextembed").origin).parent
    [library] = folder.rglob("*fte*.so")
    names = sorted(set(re.findall(rb"onnx::MatMul_\d+", library.read_bytes())), key=lambda n: int(n.rsplit(b"_")[-1]))
    assert len(names) == 36, f"{library} names {len(names)} matrices, 36 are wanted: its format has changed"
    return [name.decode() for name in names]


def fast_tensors(named):
    """fasttextembed's tensors: queries, keys and values in one matrix, the others as [in, out]."""
    tensors = {name: a for name, a in named.items() if ".attention.self." not in name and not name.endswith("dense.weight")}
    matrices = iter(library_names())
    for n in range(12):
        layer = f"encoder.layer.{n}"
        own = [f"{layer}.attention.self.{part}" for part in ("query", "key", "value")]
        tensors[f"Attention_{n}_qkv_weight"] = np.hstack([named[f"{part}.weight"].T for part in own])
        tensors[f"Attention_{n}_qkv_bias"] = np.hstack([named[f"{part}.bias"] for part in own])
        for part in ("attention.output", "intermediate", "output"):
            tensors[next(matrices)] = named[f"{layer}.{part}.dense.weight"].T
    return tensors


def write_fast(named, vocabulary, into):
    """model.fte and vocab.tsv."""
    into.mkdir()
    header, entry, names = struct.Struct("<QQ11I"), struct.Struct("<QQ64s6i"), sorted(tensors := fast_tensors(named))
    table = -(-header.size // 64) * 64
    start = -(-(table + entry.size * len(names)) // 64) * 64
    entries, blob = [], bytearray()
    for name in names:
        array = np.ascontiguousarray(tensors[name], "<f2" if tensors[name].ndim == 2 else "<f4")
        blob += bytes(-len(blob) % 64)
        shape = [*array.shape, 0, 0, 0][:4]
        entries.append(entry.pack(start + len(blob), array.nbytes, name.encode(), array.ndim, *shape, int(array.ndim == 2)))
        blob += array.tobytes()
    head = header.pack(table, start, 0x31455446, 2, 384, 12, 12, 1536, len(vocabulary), 512, 2, len(names), 0)
    written = head.ljust(table, b"\0") + b"".join(entries)
    (into / "model.fte").write_bytes(written.ljust(start, b"\0") + blob)
    (into / "vocab.tsv").write_text("".join(f"{token}\t{n}\n" for token, n in sorted(vocabulary.items(), key=lambda v: v[1])))


def main():
    folder, into = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
    unfinished = into.with_name(into.name + ".new")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(parents=True)
    named = weights(onnx.load(folder / "onnx/model.onnx"))
    write_hugging_face(folder, named, unfinished / "hugging-face")
    if importlib.util.find_spec("fasttextembed"):
        write_fast(named, json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))["model"]["vocab"],
                   unfinished / "fasttextembed")
    unfinished.rename(into)


if __name__ == "__main__":
    main()
