"""Make the tiny reranking models under tests/fixtures/rerankers/ and their golden scores.

    /tmp/tinyvenv/bin/python scripts/make_tiny_rerankers.py             # write that folder and verify
    /tmp/tinyvenv/bin/python scripts/make_tiny_rerankers.py --check     # only compare with what is there

In the environment of make_tiny_models.py, from whose parts and in whose way they are made. What is made:

    tiny-reranker/       BertForSequenceClassification, onnx/model.onnx, three inputs; the tokenizer of tiny-bert
    tiny-reranker-xlmr/  XLMRobertaForSequenceClassification, model.onnx in the root, no token_type_ids, a tokenizer
                         of the Unigram kind with the special tokens of XLM-R

Golden scores come from FlagEmbedding's FlagReranker on the torch weights (float32, CPU). FlagReranker makes a pair of
two lists of token ids with `prepare_for_model`, which Transformers 5 no longer has: there FlagEmbedding turns the ids
into text and that into ids again, which changes some (a word that was cut reads otherwise by itself). The goldens are
those of the first way, which is FlagEmbedding's with Transformers 4: this script gives the tokenizer the method back.
It says which rows the second way would change.
"""
import json
import math
import pathlib
import shutil
import sys
import tempfile

import make_tiny_models as tiny
import numpy as np
import onnxruntime
import torch
from FlagEmbedding import FlagReranker
from onnx import TensorProto
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
from transformers import AutoConfig, AutoModelForSequenceClassification
from transformers.utils import logging

FIXTURES = tiny.FIXTURES / "rerankers"
FOLDERS = ("tiny-reranker", "tiny-reranker-xlmr")
SPECIAL = ["<s>", "<pad>", "</s>", "<unk>"]
PAD = 1
LIMIT = tiny.MAX_LENGTH
QUERY_LIMIT = LIMIT * 3 // 4


# ---------------------------------------------------------------------------------------------- XLM-R's tokenizer

def unigram_vocabulary(texts):
    """[(piece, score)]: words of up to 7 letters, stems and rests of longer ones, and characters to fall back on."""
    seen = sorted({word for text in texts for word in text.split()})
    words = [w for w in seen if w.isascii() and w.isalpha() and len(w) <= 16]
    pieces = ["\u2581" + (w if len(w) <= 7 else w[:5]) for w in words]
    pieces += [w[5:] for w in words if len(w) > 7]
    letters = [chr(c) for c in range(33, 127)]
    foreign = sorted({c for w in seen for c in w if "\x7f" < c <= "\uffff" and c.isalnum()})
    pieces += ["\u2581"] + letters + ["\u2581" + c for c in letters if c.isalpha()] + foreign
    # A longer piece is likelier than its parts, and no two have one score: there is one best way to cut a word.
    return [(piece, -12.0 + len(piece) / 4 - i / 10_000) for i, piece in enumerate(dict.fromkeys(pieces))]


def unigram_tokenizer(texts):
    """As XLM-R's, but for the normaliser: the real one's table has 240 KB."""
    vocab = [(token, 0.0) for token in SPECIAL] + unigram_vocabulary(texts) + [("<mask>", 0.0)]
    tokenizer = Tokenizer(models.Unigram(vocab, unk_id=3, byte_fallback=False))
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Replace(Regex(" {2,}"), " ")])
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace(replacement="\u2581", prepend_scheme="always")])
    tokenizer.decoder = decoders.Metaspace(replacement="\u2581", prepend_scheme="always")
    tokenizer.add_special_tokens([*SPECIAL, "<mask>"])
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", pair="<s> $A </s> </s> $B </s>", special_tokens=[("<s>", 0), ("</s>", 2)])
    return tokenizer


# ---------------------------------------------------------------------------------------------- weights and graphs

def head_weights(seed, names):
    """The head's two layers, as wide as makes scores of both signs and some size; exact in float16."""
    random = np.random.default_rng(seed)
    weights = {}
    for name, outputs in names.items():
        for part, shape in (("weight", (outputs, tiny.HIDDEN)), ("bias", (outputs,))):
            values = 0.6 * random.standard_normal(shape)
            weights[f"{name}.{part}"] = values.astype(np.float16).astype(np.float32)
    return weights


class Bert(tiny.BertGraph):
    """BertForSequenceClassification with one label."""

    output, producer = "logits", "make_tiny_rerankers.py"
    head = ("pooler.dense", "classifier")
    positions, types, epsilon = 512, 2, 1e-12
    inputs = ("input_ids", "attention_mask", "token_type_ids")

    @staticmethod
    def torch_name(name):
        return name if name.startswith("classifier") else "bert." + name

    @staticmethod
    def wrap(first, second, ids):
        return [ids["[CLS]"], *first, ids["[SEP]"], *second, ids["[SEP]"]]

    @staticmethod
    def types_of(first, second):
        return [0] * (len(first) + 2) + [1] * (len(second) + 1)

    def score(self, x):
        dense, out = self.head
        first = self.node("Gather", x, self.const(0, np.int64), axis=1)
        self.node("Cast", self.linear(self.node("Tanh", self.linear(first, dense)), out), name="logits",
                  to=TensorProto.FLOAT)


class XlmRoberta(Bert):
    """XLMRobertaForSequenceClassification with one label."""

    head = ("classifier.dense", "classifier.out_proj")
    positions, types, epsilon = 514, 1, 1e-5
    inputs = ("input_ids", "attention_mask")

    @staticmethod
    def torch_name(name):
        return name if name.startswith("classifier") else "roberta." + name

    @staticmethod
    def wrap(first, second, ids):
        return [0, *first, 2, 2, *second, 2]

    @staticmethod
    def types_of(first, second):
        return [0] * (len(first) + len(second) + 4)

    def embed(self, with_types):
        """Positions count from the padding's id on, over the tokens that are no padding."""
        words = self.node("Gather", self.table("embeddings.word_embeddings.weight"), "input_ids")
        types = self.node("Gather", self.table("embeddings.token_type_embeddings.weight"), self.const(0, np.int64))
        pad = self.const(PAD, np.int64)
        tokens = self.node("Cast", self.node("Not", self.node("Equal", "input_ids", pad)), to=TensorProto.INT64)
        counted = self.node("Mul", self.node("CumSum", tokens, self.const(1, np.int64)), tokens)
        table = self.table("embeddings.position_embeddings.weight")
        positions = self.node("Gather", table, self.node("Add", counted, pad))
        return self.norm(self.node("Add", self.node("Add", words, types), positions), "embeddings.LayerNorm")


def make(kind, folder, tokenizer, seed, graph_file):
    """One folder without its goldens; gives the weights under their torch names."""
    tiny.POSITIONS, tiny.TYPES, tiny.EPSILON = kind.positions, kind.types, kind.epsilon
    weights = tiny.make_weights(seed, tokenizer.get_vocab_size())
    weights |= head_weights(seed, {kind.head[0]: tiny.HIDDEN, kind.head[1]: 1})
    tiny.write_settings(folder, tokenizer, "cls")
    shutil.rmtree(folder / "1_Pooling")
    settings = json.loads((folder / "config.json").read_text())
    settings |= {"architectures": ["BertForSequenceClassification"], "id2label": {"0": "LABEL_0"},
                 "label2id": {"LABEL_0": 0}}
    if kind is XlmRoberta:
        settings |= {"architectures": ["XLMRobertaForSequenceClassification"], "model_type": "xlm-roberta",
                     "pad_token_id": PAD, "bos_token_id": 0, "eos_token_id": 2}
        # The class that takes tokenizer.json as it is.
        tiny.write_json(folder / "tokenizer_config.json", {
            "tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": LIMIT, "bos_token": "<s>",
            "cls_token": "<s>", "eos_token": "</s>", "sep_token": "</s>", "pad_token": "<pad>", "unk_token": "<unk>",
            "mask_token": "<mask>"})
    tiny.write_json(folder / "config.json", settings)
    graph = kind(weights)
    graph.score(graph.bert("token_type_ids" in kind.inputs))
    graph.save(folder / graph_file, tiny.token_inputs(*kind.inputs), ["batch", 1])
    return {kind.torch_name(name): value for name, value in weights.items()}


# ---------------------------------------------------------------------------------------------- golden scores

def pairs(reference):
    """(note, query, text) of each golden row. One-letter words keep the long rows small in git."""
    text = {row["note"]: row["text"] for row in reference}
    store, bread = text["sentence, 10 words, question"], text["paragraph: bread, with units"]
    plain = ["paragraph: SQLite", "paragraph: bread, with units", "sentence, 3 words", "Chinese", "Cyrillic",
             "digits", "emoji", "currency and per cent", "accents, decomposed: as composed",
             "word of 101 characters: [UNK]", "control characters, dropped, not spaces",
             "tab, newline and CRLF inside, spaces around"]
    rows = [(f"question against {note}", store, text[note]) for note in plain]
    rows += [(f"{note} against a paragraph", text[note], bread) for note in ("Japanese", "single letter", "digits")]
    rows += [("the same text twice", store, store), ("an empty query", "", bread), ("an empty text", store, ""),
             ("both empty", "", ""), ("blanks", "  \n", " \t "),
             ("special tokens in both", "what is [SEP] or </s>", "a [CLS] b <s> c [PAD] d <pad> e")]
    words = tiny.letters
    for specials in (3, 4):
        rows += [(f"fills the limit with {specials} special tokens", words(12), words(LIMIT - 12 - specials, 3)),
                 (f"one token more than that, {specials}", words(12), words(LIMIT - 11 - specials, 3))]
    rows += [("a query of three quarters", words(QUERY_LIMIT), words(40, 5)),
             ("a query of one token more", words(QUERY_LIMIT + 1), words(40, 5)),
             ("both too long", words(700), words(3000, 7)),
             ("a query cut inside a word", words(QUERY_LIMIT - 1) + " embeddings", "a b c"),
             ("a text cut inside a word", words(100), words(LIMIT - 104, 3) + " embeddings embeddings")]
    return rows


def reranker(folder, kind, weights, tokenizer, source):
    shutil.copytree(source, folder, ignore=shutil.ignore_patterns("*.onnx", "onnx", "golden.jsonl"))
    model = AutoModelForSequenceClassification.from_config(AutoConfig.from_pretrained(folder))
    state = {name: torch.from_numpy(value) for name, value in weights.items()}
    missing, unexpected = model.load_state_dict(state, strict=False)
    assert not unexpected and all("position_ids" in m or "token_type_ids" in m for m in missing), (missing, unexpected)
    model.save_pretrained(folder)
    made = FlagReranker(str(folder), use_fp16=False, devices="cpu", max_length=LIMIT)
    assert made.tokenizer.backend_tokenizer.to_str() != "" and made.model.config.num_labels == 1
    return made


def golden(folder, kind, weights, tokenizer, rows):
    seen = []

    def prepare_for_model(first, second, truncation, max_length, **_):
        assert truncation == "only_second" and max_length == LIMIT
        over = len(kind.wrap(first, second, tokenizer.get_vocab())) - max_length
        second = second[:len(second) - max(over, 0)]
        ids = kind.wrap(first, second, tokenizer.get_vocab())
        item = {"input_ids": ids, "attention_mask": [1] * len(ids), "token_type_ids": kind.types_of(first, second)}
        seen.append(item)
        return item

    with tempfile.TemporaryDirectory() as temp:
        made = reranker(pathlib.Path(temp) / "model", kind, weights, tokenizer, folder)
        asked = [(query, text) for _, query, text in rows]
        # One by one: no neighbours, no padding.
        through_text = [made.compute_score([pair])[0] for pair in asked]
        made.tokenizer.prepare_for_model = prepare_for_model
        scores = [made.compute_score([pair])[0] for pair in asked]
    tiny.write_rows(folder / "golden.jsonl", (
        {"id": i, "note": note, "query": query, "text": text, "token_ids": seen[i]["input_ids"],
         "query_tokens": seen[i]["token_type_ids"].count(0) if kind is Bert else None, "score": scores[i]}
        for i, (note, query, text) in enumerate(rows)))
    for i, (note, _, _) in enumerate(rows):
        if not math.isclose(scores[i], through_text[i], abs_tol=1e-5):
            print(f"{folder.name} row {i} ({note}): {scores[i]:.6f}, through text {through_text[i]:.6f}")


# ---------------------------------------------------------------------------------------------- verification

def verify_model(out, folder, model):
    session = onnxruntime.InferenceSession(str(out / folder / model), providers=["CPUExecutionProvider"])
    worst, scores = 0.0, []
    for row in tiny.read_rows(out / folder / "golden.jsonl"):
        for length in (0, LIMIT):
            got = float(tiny.run_row(session, row, length, PAD if "xlmr" in folder else 0)[0, 0])
            worst = max(worst, abs(got - row["score"]))
        scores.append(row["score"])
    print(f"{folder}: max abs diff {worst:.2e}; scores from {min(scores):.2f} to {max(scores):.2f}")
    assert worst < 1e-5


def verify(out):
    verify_model(out, FOLDERS[0], "onnx/model.onnx")
    verify_model(out, FOLDERS[1], "model.onnx")


def build(out):
    logging.disable_progress_bar()
    torch.set_num_threads(1)
    reference = tiny.read_rows(tiny.REFERENCE)
    texts = [row["text"] for row in reference]
    rows = pairs(reference)
    for folder in FOLDERS:
        shutil.rmtree(out / folder, ignore_errors=True)
    tokenizer = tiny.make_tokenizer(tiny.vocabulary([*texts, tiny.INSTRUCTION]))
    for kind, folder, tokenizer, seed, graph in (
            (Bert, FOLDERS[0], tokenizer, 3, "onnx/model.onnx"),
            (XlmRoberta, FOLDERS[1], unigram_tokenizer(texts), 4, "model.onnx")):
        weights = make(kind, out / folder, tokenizer, seed, graph)
        golden(out / folder, kind, weights, tokenizer, rows)


if __name__ == "__main__":
    sys.exit(tiny.run(__file__, __doc__, build, verify, FIXTURES, FOLDERS))
