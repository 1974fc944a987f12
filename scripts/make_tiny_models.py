"""Make the tiny BERT models under tests/fixtures/, their golden vectors, and a few broken ONNX files.

    python3.11 -m venv /tmp/tinyvenv
    /tmp/tinyvenv/bin/pip install -r scripts/requirements-tiny.txt      # about 7 GB: torch brings CUDA along
    /tmp/tinyvenv/bin/python scripts/make_tiny_models.py                # write tests/fixtures/ and verify
    /tmp/tinyvenv/bin/python scripts/make_tiny_models.py --check        # only compare with what is there

The real models are too large for git, so most tests run on these: real BERT architecture and tokenizer, random
weights from fixed seeds. What is made:

    tiny-bert/           CLS pooling, onnx/model.onnx, three inputs, float32 output
    tiny-bert-no-types/  other weights, mean pooling, model.onnx in the root, no token_type_ids input
    tiny-bert-fp16/      the weights of tiny-bert, float16 output; tested against tiny-bert/golden.jsonl
    broken/              ONNX files with an input or an output that an embedding model must not have

Golden vectors come from FlagEmbedding's FlagModel on the torch weights (float32, CPU), in the row format of
tests/fixtures/reference/README.md. The ONNX graphs are written node by node here rather than exported from torch:
the bytes then do not depend on an exporter, and agreement with the goldens means something. The script ends by
running every model in ONNX Runtime against its goldens, and by making everything again in a second process to see
that the bytes are the same. The pinned versions are in scripts/requirements-tiny.txt; the script reads
tests/fixtures/reference/bge-small-en-v1.5.jsonl (texts only, for the vocabulary and the golden rows).
"""
import argparse
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import unicodedata

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")

import numpy as np
import onnxruntime
import torch
from FlagEmbedding import FlagModel
from onnx import TensorProto, checker, helper, numpy_helper
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
from transformers import BertConfig, BertModel
from transformers.utils import logging

FIXTURES = pathlib.Path(__file__).resolve().parent.parent / "tests" / "fixtures"
REFERENCE = FIXTURES / "reference" / "bge-small-en-v1.5.jsonl"
FOLDERS = ("tiny-bert", "tiny-bert-no-types", "tiny-bert-fp16", "broken")
INSTRUCTION = "Represent this sentence for searching relevant passages: "
MAX_LENGTH = 512
HIDDEN, LAYERS, HEADS, INTERMEDIATE, POSITIONS, TYPES = 32, 2, 4, 64, 512, 2
EPSILON = 1e-12

# ---------------------------------------------------------------------------------------------- tokenizer

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
SUFFIXES = ("able al ally ance ate ation ed en ence er ers es est ful ible ic ical ies ing ings ion ions ish ism ist "
            "ity ive ize less ly ment ments ness or ous s ship tion tions ure ward y").split()
SCRIPTS = ("CJK", "HIRAGANA", "KATAKANA", "CYRILLIC", "GREEK")  # of the non-ASCII text; the rest gives [UNK]


def vocabulary(texts):
    """Token list for texts like these: words and word pieces, with single characters to fall back on.

    Words of up to 7 letters are one token; longer ones are a stem of 5 letters and the rest, so that ordinary text
    is split into pieces now and then. Everything is sorted: the result must not depend on set order.
    """
    normalizer, splitter = normalizers.BertNormalizer(), pre_tokenizers.BertPreTokenizer()
    seen = {word for text in texts for word, _ in splitter.pre_tokenize_str(normalizer.normalize_str(text))}
    words = sorted(w for w in seen if w.isascii() and w.isalpha() and len(w) <= 16)
    stems = [w if len(w) <= 7 else w[:5] for w in words]
    rests = ["##" + w[5:] for w in words if len(w) > 7]

    ascii_chars = [chr(c) for c in range(33, 127) if not chr(c).isupper()]  # upper case never gets this far
    foreign = sorted({c for w in seen for c in w  # rare ideographs, beyond U+FFFF, are to give [UNK]
                      if "\x7f" < c <= "\uffff" and unicodedata.name(c, "").startswith(SCRIPTS)})
    chars = ascii_chars + foreign
    # Punctuation and ideographs always stand alone, so they need no continuation form.
    inner = ["##" + c for c in chars if c.isalnum() and not unicodedata.name(c).startswith("CJK")]
    return list(dict.fromkeys(SPECIAL + chars + inner + stems + rests + ["##" + s for s in SUFFIXES]))


def make_tokenizer(vocab):
    """The tokenizer of bert-base-uncased with another vocabulary; no truncation and no padding, as in BGE's file."""
    ids = {token: i for i, token in enumerate(vocab)}
    tokenizer = Tokenizer(models.WordPiece(ids, unk_token="[UNK]", max_input_chars_per_word=100))
    tokenizer.add_special_tokens(SPECIAL)
    tokenizer.normalizer = normalizers.BertNormalizer(
        clean_text=True, handle_chinese_chars=True, strip_accents=None, lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", ids["[CLS]"]), ("[SEP]", ids["[SEP]"])])
    tokenizer.decoder = decoders.WordPiece(prefix="##", cleanup=True)
    return tokenizer


# ---------------------------------------------------------------------------------------------- weights

def make_weights(seed, vocab_size):
    """Random BertModel weights under their torch names, every value exact in float16.

    Deviation 0.3 instead of BERT's 0.02: with so few dimensions the texts would hardly differ otherwise.
    float16 halves the ONNX files in git and, as torch gets the rounded values too, costs no accuracy.
    """
    random = np.random.default_rng(seed)
    weights = {}

    def add(name, *shape, mean=0.0, deviation=0.3):
        values = mean + deviation * random.standard_normal(shape)
        weights[name] = values.astype(np.float16).astype(np.float32)

    def add_linear(name, inputs, outputs):
        add(name + ".weight", outputs, inputs)
        add(name + ".bias", outputs, deviation=0.1)

    def add_norm(name):
        add(name + ".weight", HIDDEN, mean=1.0, deviation=0.1)
        add(name + ".bias", HIDDEN, deviation=0.1)

    add("embeddings.word_embeddings.weight", vocab_size, HIDDEN)
    add("embeddings.position_embeddings.weight", POSITIONS, HIDDEN)
    add("embeddings.token_type_embeddings.weight", TYPES, HIDDEN)
    add_norm("embeddings.LayerNorm")
    for i in range(LAYERS):
        layer = f"encoder.layer.{i}."
        for part in ("query", "key", "value"):
            add_linear(f"{layer}attention.self.{part}", HIDDEN, HIDDEN)
        add_linear(f"{layer}attention.output.dense", HIDDEN, HIDDEN)
        add_norm(f"{layer}attention.output.LayerNorm")
        add_linear(f"{layer}intermediate.dense", HIDDEN, INTERMEDIATE)
        add_linear(f"{layer}output.dense", INTERMEDIATE, HIDDEN)
        add_norm(f"{layer}output.LayerNorm")
    return weights


# ---------------------------------------------------------------------------------------------- ONNX

class Graph:
    """Collects the nodes and constants of an ONNX graph. Every method returns the name of the value it makes."""

    output, producer = "last_hidden_state", "make_tiny_models.py"

    def __init__(self):
        self.nodes, self.initializers = [], []

    def node(self, op, *inputs, name=None, **attributes):
        name = name or f"{op.lower()}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, inputs, [name], name=name, **attributes))
        return name

    def const(self, values, dtype=np.float32):
        name = f"const_{len(self.initializers)}"
        self.initializers.append(numpy_helper.from_array(np.array(values, dtype), name))
        return name

    def weight(self, name, values):
        """A weight that is stored as float16 and computed with as float32."""
        self.initializers.append(numpy_helper.from_array(values.astype(np.float16), name))
        return self.node("Cast", name, to=TensorProto.FLOAT)

    def save(self, path, inputs, output_shape, output_type=TensorProto.FLOAT):
        """inputs: (name, type, shape) each. The graph's last value must have the name of its output."""
        output = helper.make_tensor_value_info(self.output, output_type, output_shape)
        graph = helper.make_graph(self.nodes, path.parent.name, [helper.make_tensor_value_info(*i) for i in inputs],
                                  [output], self.initializers)
        # Opset 14 with IR 8 is what current exporters still write for BERT; old ONNX Runtimes read it too.
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 14)], ir_version=8,
                                  producer_name=self.producer)
        checker.check_model(model, full_check=True)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(model.SerializeToString(deterministic=True))


def token_inputs(*names):
    return [(name, TensorProto.INT64, ["batch", "sequence"]) for name in names]


class BertGraph(Graph):
    """BertModel as ONNX nodes, without the pooler (embedding models do not use it)."""

    def __init__(self, weights):
        super().__init__()
        self.weights = weights

    def table(self, name):
        return self.weight(name, self.weights[name])

    def linear(self, x, name):
        product = self.node("MatMul", x, self.weight(name + ".weight", self.weights[name + ".weight"].T))
        return self.node("Add", product, self.table(name + ".bias"))

    def norm(self, x, name):
        centred = self.node("Sub", x, self.node("ReduceMean", x, axes=[-1], keepdims=1))
        squares = self.node("Pow", centred, self.const(2.0))
        variance = self.node("ReduceMean", squares, axes=[-1], keepdims=1)
        root = self.node("Sqrt", self.node("Add", variance, self.const(EPSILON)))
        scaled = self.node("Mul", self.node("Div", centred, root), self.table(name + ".weight"))
        return self.node("Add", scaled, self.table(name + ".bias"))

    def gelu(self, x):
        erf = self.node("Erf", self.node("Div", x, self.const(np.sqrt(2.0))))
        return self.node("Mul", self.node("Mul", x, self.node("Add", erf, self.const(1.0))), self.const(0.5))

    def embed(self, with_types):
        words = self.node("Gather", self.table("embeddings.word_embeddings.weight"), "input_ids")
        types = self.table("embeddings.token_type_embeddings.weight")
        # Without the input every token has type 0: row 0, as a scalar index drops the axis.
        types = self.node("Gather", types, "token_type_ids" if with_types else self.const(0, np.int64))
        length = self.node("Slice", self.node("Shape", "input_ids"), *(self.const([n], np.int64) for n in (1, 2)))
        positions = self.node("Slice", self.table("embeddings.position_embeddings.weight"),
                              self.const([0], np.int64), length, self.const([0], np.int64))
        total = self.node("Add", self.node("Add", words, types), positions)
        return self.norm(total, "embeddings.LayerNorm")

    def mask_bias(self):
        """0 for tokens, hugely negative for padding, shaped to add to attention scores."""
        mask = self.node("Unsqueeze", "attention_mask", self.const([1, 2], np.int64))
        padding = self.node("Sub", self.const(1.0), self.node("Cast", mask, to=TensorProto.FLOAT))
        return self.node("Mul", padding, self.const(np.finfo(np.float32).min))

    def attention(self, x, bias, name):
        split = self.const([0, 0, HEADS, HIDDEN // HEADS], np.int64)  # 0: dimension unchanged

        def heads(part, perm):
            return self.node("Transpose", self.node("Reshape", self.linear(x, f"{name}.{part}"), split), perm=perm)

        query, value = heads("query", [0, 2, 1, 3]), heads("value", [0, 2, 1, 3])
        scores = self.node("MatMul", query, heads("key", [0, 2, 3, 1]))
        scores = self.node("Div", scores, self.const(np.sqrt(HIDDEN // HEADS)))
        probabilities = self.node("Softmax", self.node("Add", scores, bias), axis=-1)
        context = self.node("Transpose", self.node("MatMul", probabilities, value), perm=[0, 2, 1, 3])
        return self.node("Reshape", context, self.const([0, 0, HIDDEN], np.int64))

    def layer(self, x, bias, name):
        attended = self.linear(self.attention(x, bias, name + ".attention.self"), name + ".attention.output.dense")
        x = self.norm(self.node("Add", attended, x), name + ".attention.output.LayerNorm")
        wide = self.gelu(self.linear(x, name + ".intermediate.dense"))
        return self.norm(self.node("Add", self.linear(wide, name + ".output.dense"), x), name + ".output.LayerNorm")

    def bert(self, with_types):
        x, bias = self.embed(with_types), self.mask_bias()
        for i in range(LAYERS):
            x = self.layer(x, bias, f"encoder.layer.{i}")
        return x


def write_bert(path, weights, with_types=True, output_type=TensorProto.FLOAT):
    graph = BertGraph(weights)
    # The last Cast only gives the output its name when the type is float32 already.
    graph.node("Cast", graph.bert(with_types), name="last_hidden_state", to=output_type)
    inputs = token_inputs("input_ids", "attention_mask", "token_type_ids")[:3 if with_types else 2]
    graph.save(path, inputs, ["batch", "sequence", HIDDEN], output_type)


def write_broken(folder):
    """Models that load in ONNX Runtime but are no text embedding models. They accept any token id."""
    usual = token_inputs("input_ids", "attention_mask", "token_type_ids")

    def start():
        graph = Graph()
        scalar = graph.node("Cast", "input_ids", to=TensorProto.FLOAT)
        column = graph.node("Unsqueeze", scalar, graph.const([2], np.int64))
        return graph, graph.node("Mul", column, graph.const(np.linspace(-1, 1, HIDDEN)))  # batch, sequence, hidden

    graph, hidden = start()
    graph.node("Add", hidden, graph.node("ReduceMean", "pixel_values", keepdims=0), name="last_hidden_state")
    pixels = ("pixel_values", TensorProto.FLOAT, ["batch", 3, 8, 8])
    graph.save(folder / "unknown-inputs.onnx", [*usual, pixels], ["batch", "sequence", HIDDEN])

    graph, hidden = start()
    graph.node("ReduceMean", hidden, name="last_hidden_state", axes=[1], keepdims=0)
    graph.save(folder / "rank2.onnx", usual, ["batch", HIDDEN])

    graph, hidden = start()
    graph.node("Unsqueeze", hidden, graph.const([1], np.int64), name="last_hidden_state")
    graph.save(folder / "rank4.onnx", usual, ["batch", 1, "sequence", HIDDEN])


# ---------------------------------------------------------------------------------------------- model folders

def write_json(path, value):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, indent=2) + "\n", encoding="ascii", newline="\n")


def write_settings(folder, tokenizer, pooling):
    """All files of a Hugging Face model folder but the model itself."""
    write_json(folder / "config.json", {
        "architectures": ["BertModel"], "model_type": "bert", "vocab_size": tokenizer.get_vocab_size(),
        "hidden_size": HIDDEN, "num_hidden_layers": LAYERS, "num_attention_heads": HEADS,
        "intermediate_size": INTERMEDIATE, "hidden_act": "gelu", "max_position_embeddings": POSITIONS,
        "type_vocab_size": TYPES, "layer_norm_eps": EPSILON, "initializer_range": 0.3, "pad_token_id": 0,
        "position_embedding_type": "absolute", "attention_probs_dropout_prob": 0.1, "hidden_dropout_prob": 0.1,
        "torch_dtype": "float32"})
    write_json(folder / "tokenizer_config.json", {
        "tokenizer_class": "BertTokenizer", "do_lower_case": True, "do_basic_tokenize": True,
        "tokenize_chinese_chars": True, "strip_accents": None, "model_max_length": MAX_LENGTH, "pad_token": "[PAD]",
        "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]", "mask_token": "[MASK]"})
    write_json(folder / "1_Pooling" / "config.json", {
        "word_embedding_dimension": HIDDEN, "pooling_mode_cls_token": pooling == "cls",
        "pooling_mode_mean_tokens": pooling == "mean", "pooling_mode_max_tokens": False,
        "pooling_mode_mean_sqrt_len_tokens": False})
    (folder / "tokenizer.json").write_text(tokenizer.to_str(pretty=True) + "\n", encoding="utf-8", newline="\n")


# ---------------------------------------------------------------------------------------------- golden vectors

# Rows of the reference that are taken over, by number; see the README beside that file for what is in each.
REFERENCE_ROWS = (0, 1, 2, 3, 10, 16, 19, 20, 21, 22, 23, 24, 25, 26, 27, 30, 31, 32, 34, 37, 38, 39, 40, 42, 45, 46,
                  47, 48, 49, 50, 51, 52, 53, 54, 62, 63, 66)
QUERY_ROWS = (0, 3, 19)  # of these, the ones that are also encoded as queries


def letters(n, seed=1):
    """n pseudo-random words of one letter, so n content tokens; letters(n) starts with letters(n - 1)."""
    out, x = [], seed
    for _ in range(n):
        x = (x * 1103515245 + 12345) % 2**31
        out.append(chr(ord("a") + (x >> 16) % 26))
    return " ".join(out)


def golden_cases(reference):
    """(note, text, query) of each golden row. One-letter words keep the long rows small in git."""
    cases = [(reference[i]["note"], reference[i]["text"], False) for i in REFERENCE_ROWS]
    cases += [("510 content tokens: 512 in all, the most that fits", letters(510), False),
              ("511 content tokens: truncated, as 510", letters(511), False),
              ("512 content tokens: truncated, as 510", letters(512), False),
              ("truncated inside a word: 509 tokens and 'embeddings'", letters(509) + " embeddings", False),
              ("5,000 words", letters(5000, seed=7), False)]
    cases += [("query: " + reference[i]["note"], reference[i]["text"], True) for i in QUERY_ROWS]
    return cases


def torch_folder(folder, weights, source):
    """FlagModel wants a folder with torch weights: the settings of `source` and the weights as safetensors."""
    shutil.copytree(source, folder, ignore=shutil.ignore_patterns("*.onnx"))
    model = BertModel(BertConfig.from_pretrained(folder))
    state = {name: torch.zeros_like(value) for name, value in model.state_dict().items() if name.startswith("pooler.")}
    state |= {name: torch.from_numpy(value) for name, value in weights.items()}
    missing, unexpected = model.load_state_dict(state, strict=False)
    assert not unexpected and set(missing) <= {"embeddings.position_ids", "embeddings.token_type_ids"}, missing
    model.save_pretrained(folder)


def flag_vectors(folder, cases, token_ids):
    """FlagModel's own vectors of all cases, {"cls": array, "mean": array}."""
    vectors = {}
    for pooling in ("cls", "mean"):
        model = FlagModel(str(folder), use_fp16=False, devices="cpu", pooling_method=pooling,
                          query_instruction_for_retrieval=INSTRUCTION)
        fed = [INSTRUCTION * query + text for _, text, query in cases]
        assert model.tokenizer(fed, truncation=True, max_length=MAX_LENGTH)["input_ids"] == token_ids
        plain = model.encode([text for _, text, query in cases if not query])
        queries = model.encode_queries([text for _, text, query in cases if query])
        vectors[pooling] = np.vstack([plain, queries])  # golden_cases() puts the queries last
        assert vectors[pooling].dtype == np.float32
    return vectors


def digits9(vector):
    """9 significant digits, which read back to the same float32."""
    return [float(f"{x:.9g}") for x in vector]


def write_golden(folder, weights, tokenizer, cases):
    fed = [INSTRUCTION * query + text for _, text, query in cases]
    full = [tokenizer.encode(text).ids for text in fed]
    # Truncation by hand, as the tokenizer must stay as it is in the file: [CLS], the first 510, [SEP].
    ids = [i if len(i) <= MAX_LENGTH else i[:MAX_LENGTH - 1] + i[-1:] for i in full]
    with tempfile.TemporaryDirectory() as temp:
        torch_folder(pathlib.Path(temp) / "model", weights, folder)
        vectors = flag_vectors(pathlib.Path(temp) / "model", cases, ids)
    write_rows(folder / "golden.jsonl", (
        {"id": i, "note": note, "text": text, "query": query, "token_ids": ids[i], "tokens": len(full[i]),
         "cls": digits9(vectors["cls"][i]), "mean": digits9(vectors["mean"][i])}
        for i, (note, text, query) in enumerate(cases)))


# ---------------------------------------------------------------------------------------------- verification

def read_rows(path):
    return [json.loads(line) for line in path.read_text(encoding="ascii").splitlines()]


def write_rows(path, rows):
    with open(path, "w", encoding="ascii", newline="\n") as out:
        for row in rows:
            out.write(json.dumps(row, separators=(",", ":")) + "\n")


def run_row(session, row, length, pad=0):
    """The graph's only output for a golden row, padded to `length` tokens (0: not padded)."""
    count = len(row["token_ids"])
    ids = np.full((1, max(length, count)), pad, np.int64)
    mask, types = np.zeros_like(ids), np.zeros_like(ids)
    ids[0, :count], mask[0, :count] = row["token_ids"], 1
    types[0, row.get("query_tokens") or count:count] = 1
    feed = {"input_ids": ids, "attention_mask": mask, "token_type_ids": types}
    return session.run(None, {i.name: feed[i.name] for i in session.get_inputs()})[0]


def onnx_vectors(session, rows, length):
    """{"cls", "mean"} of the rows from ONNX Runtime, each text padded to `length` tokens (0: not padded)."""
    out = {"cls": [], "mean": []}
    for row in rows:
        hidden = run_row(session, row, length)[0, :len(row["token_ids"])].astype(np.float32)
        for pooling, v in (("cls", hidden[0]), ("mean", hidden.mean(axis=0))):
            out[pooling].append(v / np.linalg.norm(v))
    return {pooling: np.array(v) for pooling, v in out.items()}


def verify_model(out, model, golden, tolerance):
    session = onnxruntime.InferenceSession(str(out / model), providers=["CPUExecutionProvider"])
    rows = read_rows(out / golden)
    for length in (0, MAX_LENGTH):
        for pooling, got in onnx_vectors(session, rows, length).items():
            diff = np.abs(got - np.array([row[pooling] for row in rows], np.float32)).max(axis=1)
            print(f"{model}, {f'padded to {length}' if length else 'not padded'}, {pooling}: "
                  f"max abs diff {diff.max():.2e} (row {diff.argmax()})")
            assert diff.max() < tolerance, f"more than {tolerance}"


def verify_broken(folder):
    """The broken models must run, so that tests with them meet the intended fault and not another one."""
    for path in sorted(folder.glob("*.onnx")):
        session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        feed = {i.name: np.ones((1, 5), np.int64) for i in session.get_inputs()}
        if "pixel_values" in feed:
            feed["pixel_values"] = np.ones((1, 3, 8, 8), np.float32)
        print(f"broken/{path.name}: inputs {', '.join(feed)}; output shape {session.run(None, feed)[0].shape}")


def verify(out):
    verify_model(out, "tiny-bert/onnx/model.onnx", "tiny-bert/golden.jsonl", 1e-5)
    verify_model(out, "tiny-bert-no-types/model.onnx", "tiny-bert-no-types/golden.jsonl", 1e-5)
    verify_model(out, "tiny-bert-fp16/onnx/model.onnx", "tiny-bert/golden.jsonl", 2e-3)
    verify_broken(out / "broken")


def compare(left, right, folders):
    """Print the files that differ between two sets of fixtures; True if there are none."""
    files = sorted({p.relative_to(root) for root in (left, right) for folder in folders
                    for p in (root / folder).rglob("*") if p.is_file()})
    bad = [f for f in files if not ((left / f).is_file() and (right / f).is_file()
                                    and (left / f).read_bytes() == (right / f).read_bytes())]
    for f in bad:
        print(f"not reproduced: {f}")
    print(f"{len(files) - len(bad)} of {len(files)} files identical when made again")
    return not bad


# ---------------------------------------------------------------------------------------------- main

def build(out):
    logging.disable_progress_bar()
    torch.set_num_threads(1)  # the order of additions must not depend on the machine's cores
    reference = read_rows(REFERENCE)
    tokenizer = make_tokenizer(vocabulary([row["text"] for row in reference] + [INSTRUCTION]))
    cases = golden_cases(reference)
    for folder in FOLDERS:
        shutil.rmtree(out / folder, ignore_errors=True)

    weights = make_weights(1, tokenizer.get_vocab_size())
    write_settings(out / "tiny-bert", tokenizer, "cls")
    write_bert(out / "tiny-bert/onnx/model.onnx", weights)
    write_golden(out / "tiny-bert", weights, tokenizer, cases)

    write_settings(out / "tiny-bert-fp16", tokenizer, "cls")
    write_bert(out / "tiny-bert-fp16/onnx/model.onnx", weights, output_type=TensorProto.FLOAT16)

    weights = make_weights(2, tokenizer.get_vocab_size())
    write_settings(out / "tiny-bert-no-types", tokenizer, "mean")
    write_bert(out / "tiny-bert-no-types/model.onnx", weights, with_types=False)
    write_golden(out / "tiny-bert-no-types", weights, tokenizer, cases)

    write_broken(out / "broken")


def run(script, description, build, verify, fixtures, folders):
    """The command line of a script that makes models. Exit status 1: not made again as they are."""
    parser = argparse.ArgumentParser(description=description.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="write nothing; compare the fixtures with a new set")
    parser.add_argument("--build-only", metavar="DIR", type=pathlib.Path, help="write them to DIR and do nothing else")
    args = parser.parse_args()
    if args.build_only:
        return build(args.build_only)
    if not args.check:
        build(fixtures)
    verify(fixtures)
    with tempfile.TemporaryDirectory() as temp:  # another process, so that set order and the like differ
        subprocess.run([sys.executable, script, "--build-only", temp], check=True)
        return 0 if compare(fixtures, pathlib.Path(temp), folders) else 1


if __name__ == "__main__":
    sys.exit(run(__file__, __doc__, build, verify, FIXTURES, FOLDERS))
