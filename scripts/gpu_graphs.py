"""BERT graphs of real shapes with random weights, written without any package: what scripts/gpu-check
measures where the real weights are not there. Speed depends on shapes alone.

The graph is written node by node as ONNX protobuf, the weights beside it as external data. Weights are one
block of random numbers, repeated from another offset for each tensor.
"""

import array
import json
import math
import random
import shutil
import struct

FLOAT, INT64, FLOAT16 = 1, 7, 10
SHAPES = {"small": (384, 12, 12), "base": (768, 12, 12), "large": (1024, 24, 16)}  # hidden, layers, heads
BLOCK = 1 << 18


def varint(number):
    number &= (1 << 64) - 1
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    out.append(number)
    return bytes(out)


def number(field, value):
    return varint(field << 3) + varint(value)


def data(field, value):
    value = value.encode() if isinstance(value, str) else value
    return varint(field << 3 | 2) + varint(len(value)) + value


def attribute(name, value):
    if isinstance(value, float):
        return data(5, data(1, name) + varint(2 << 3 | 5) + struct.pack("<f", value) + number(20, 1))
    if isinstance(value, int):
        return data(5, data(1, name) + number(3, value) + number(20, 2))
    return data(5, data(1, name) + b"".join(number(8, item) for item in value) + number(20, 7))


def typed(name, kind, dims):
    shape = b"".join(data(1, data(2, dim) if isinstance(dim, str) else number(1, dim)) for dim in dims)
    return data(1, name) + data(2, data(1, number(1, kind) + data(2, shape)))


class Writer:
    def __init__(self, out, half):
        self.out, self.half, self.offset = out, half, 0
        self.nodes, self.tensors, self.count = [], [], 0
        chance = random.Random(7)
        values = [chance.gauss(0, 0.05) for _ in range(BLOCK)]
        self.block = struct.pack(f"<{BLOCK}e", *values) if half else array.array("f", values).tobytes()
        self.width = 2 if half else 4

    def node(self, kind, inputs, **attributes):
        self.count += 1
        name = f"{kind}_{self.count}"
        body = b"".join(data(1, i) for i in inputs) + data(2, name) + data(3, name) + data(4, kind)
        self.nodes.append(data(1, body + b"".join(attribute(k, v) for k, v in attributes.items())))
        return name

    def constant(self, name, kind, dims, raw):
        self.tensors.append(data(5, b"".join(number(1, d) for d in dims) + number(2, kind) + data(8, name) + data(9, raw)))
        return name

    def ints(self, name, values):
        return self.constant(name, INT64, [len(values)], struct.pack(f"<{len(values)}q", *values))

    def scalar(self, name, value):
        return self.constant(name, self.kind, [], struct.pack("<e" if self.half else "<f", value))

    @property
    def kind(self):
        return FLOAT16 if self.half else FLOAT

    def weight(self, name, *dims):
        size = math.prod(dims) * self.width
        start = self.offset * 40_503 % len(self.block) // self.width * self.width
        left = size
        while left:
            piece = self.block[start:start + left]
            self.out.write(piece)
            left, start = left - len(piece), 0
        entry = [("location", "model.onnx_data"), ("offset", str(self.offset)), ("length", str(size))]
        external = b"".join(data(13, data(1, key) + data(2, value)) for key, value in entry)
        self.tensors.append(data(5, b"".join(number(1, d) for d in dims) + number(2, self.kind) + data(8, name)
                                 + external + number(14, 1)))
        self.offset += size
        pad = -self.offset % 4096
        self.out.write(bytes(pad))
        self.offset += pad
        return name

    def even(self, name, dims, value):
        raw = struct.pack("<e" if self.half else "<f", value)
        return self.constant(name, self.kind, [dims], raw * dims)

    def norm(self, x, name, dims):
        ends = [self.even(f"{name}.weight", dims, 1.0), self.even(f"{name}.bias", dims, 0.0)]
        return self.node("LayerNormalization", [x, *ends], axis=-1, epsilon=1e-12 if not self.half else 1e-7)

    def linear(self, x, name, inputs, outputs):
        product = self.node("MatMul", [x, self.weight(f"{name}.weight", inputs, outputs)])
        return self.node("Add", [product, self.even(f"{name}.bias", outputs, 0.0)])


def write_graph(folder, hidden, layers, heads, vocab, positions=512, half=False):
    """folder/model.onnx and folder/model.onnx_data."""
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / "model.onnx_data", "wb") as out:
        g = Writer(out, half)
        zero, one = (g.constant(n, INT64, [], struct.pack("<q", v)) for n, v in (("zero", 0), ("one", 1)))
        split, join = g.ints("split", [0, 0, heads, hidden // heads]), g.ints("join", [0, 0, hidden])
        root, half_, two, gone = (g.scalar(n, v) for n, v in (
            ("root", math.sqrt(hidden / heads)), ("half", 0.5), ("sqrt2", math.sqrt(2)), ("masked", -10000.0)))
        unit = g.scalar("unit", 1.0)
        width = g.node("Gather", [g.node("Shape", ["input_ids"]), one], axis=0)
        places = g.node("Range", [zero, width, one])
        x = g.node("Gather", [g.weight("embeddings.word", vocab, hidden), "input_ids"], axis=0)
        x = g.node("Add", [x, g.node("Gather", [g.weight("embeddings.type", 2, hidden), "token_type_ids"], axis=0)])
        x = g.node("Add", [x, g.node("Gather", [g.weight("embeddings.position", positions, hidden), places], axis=0)])
        x = g.norm(x, "embeddings.norm", hidden)
        mask = g.node("Unsqueeze", ["attention_mask", g.ints("axes", [1, 2])])
        mask = g.node("Sub", [unit, g.node("Cast", [mask], to=g.kind)])
        mask = g.node("Mul", [mask, gone])
        for n in range(layers):
            at = f"layer.{n}"

            def part(name):
                made = g.linear(x, f"{at}.{name}", hidden, hidden)
                return g.node("Reshape", [made, split])

            q = g.node("Transpose", [part("query")], perm=[0, 2, 1, 3])
            k = g.node("Transpose", [part("key")], perm=[0, 2, 3, 1])
            v = g.node("Transpose", [part("value")], perm=[0, 2, 1, 3])
            scores = g.node("Add", [g.node("Div", [g.node("MatMul", [q, k]), root]), mask])
            seen = g.node("MatMul", [g.node("Softmax", [scores], axis=-1), v])
            seen = g.node("Reshape", [g.node("Transpose", [seen], perm=[0, 2, 1, 3]), join])
            seen = g.linear(seen, f"{at}.out", hidden, hidden)
            x = g.norm(g.node("Add", [seen, x]), f"{at}.norm1", hidden)
            inner = g.linear(x, f"{at}.up", hidden, 4 * hidden)
            bent = g.node("Add", [g.node("Erf", [g.node("Div", [inner, two])]), unit])
            inner = g.node("Mul", [g.node("Mul", [inner, bent]), half_])
            x = g.norm(g.node("Add", [g.linear(inner, f"{at}.down", 4 * hidden, hidden), x]), f"{at}.norm2", hidden)
    dims = ["batch", "tokens"]
    # The last node writes the output.
    last = g.nodes.pop()
    g.nodes.append(rename(last, x, "last_hidden_state"))
    inputs = b"".join(data(11, typed(n, INT64, dims)) for n in ("input_ids", "attention_mask", "token_type_ids"))
    output = data(12, typed("last_hidden_state", g.kind, [*dims, hidden]))
    graph = b"".join(g.nodes) + data(2, "bert") + b"".join(g.tensors) + inputs + output
    model = number(1, 8) + data(2, "sqlite-bge gpu-check") + data(7, graph) + data(8, data(1, "") + number(2, 17))
    (folder / "model.onnx").write_bytes(model)


def rename(node, old, new):
    """The same node with its output under another name."""
    body = node[1:]
    length = shift = at = 0
    while True:
        byte = body[at]
        length, shift, at = length | (byte & 127) << shift, shift + 7, at + 1
        if byte < 128:
            break
    body = body[at:at + length].replace(data(2, old), data(2, new), 1)
    return data(1, body)


def write_model(folder, tokenizer, name, layers=None, half=False):
    """A model folder in the Hugging Face layout; `layers` makes it less deep."""
    hidden, all_layers, heads = SHAPES[name]
    layers = layers or all_layers
    facts = json.loads(tokenizer.read_text(encoding="utf-8"))
    vocab = max(facts["model"]["vocab"].values()) + 1
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(tokenizer, folder / "tokenizer.json")
    config = {"model_type": "bert", "hidden_size": hidden, "vocab_size": vocab, "max_position_embeddings": 512,
              "num_hidden_layers": layers, "num_attention_heads": heads, "intermediate_size": 4 * hidden}
    (folder / "config.json").write_text(json.dumps(config, indent=1) + "\n")
    write_graph(folder, hidden, layers, heads, vocab, half=half)


def flops_per_token(name, tokens, layers=None):
    """Of the matrix products of one token in a text of so many."""
    hidden, all_layers, _ = SHAPES[name]
    return (layers or all_layers) * (2 * 12 * hidden * hidden + 4 * tokens * hidden)
