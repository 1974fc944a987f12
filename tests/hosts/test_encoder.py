"""The native encoder, through SQL: when it runs, its precisions, its packed weights, and what becomes of broken ones."""

import json
import math
import os
import shutil
import struct
import subprocess
import sys
import threading

import pytest
from support import DIST, FIXTURES, SMALL, TINY, distance, embed, failure, floats, load, loaded, unload, value

FOLDER = f"{DIST}/models/{SMALL}"
TEXTS = ["a", "how do i reset my password", "the router blinks red " * 60, "x " * 700]
NATIVE = "avx2" in open("/proc/cpuinfo").read() if os.path.exists("/proc/cpuinfo") else False
pytestmark = pytest.mark.skipif(not NATIVE, reason="this CPU has no AVX2")


def encoder(db, name):
    return loaded(db)[name]["encoder"]


def cosine(a, b):
    a, b = floats(a), floats(b)
    return sum(x * y for x, y in zip(a, b)) / math.hypot(*a) / math.hypot(*b)


def kernels(code, kernels, *arguments):
    """Runs Python with these kernels named, and gives what it prints as JSON."""
    environment = {**os.environ, "BGE_KERNELS": kernels, "PYTHONPATH": os.path.dirname(__file__)}
    done = subprocess.run([sys.executable, "-c", code, *arguments], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


EMBED = """
import json, sys
from support import *
db = connect()
options = json.loads(sys.argv[1])
load(db, "m", sys.argv[2], **options)
texts = json.loads(sys.argv[3])
vectors = [embed(db, text, "m").hex() for text in texts]
batch = {row[0]: row[1].hex() for row in db.execute("SELECT idx, embedding FROM bge_embed_each(?, 'm')", (json.dumps(texts),))}
assert batch == dict(enumerate(vectors)), "a batch gave other vectors"
print(json.dumps({"encoder": loaded(db)["m"]["encoder"], "vectors": vectors}))
"""


def run(named, options, texts=TEXTS, folder=FOLDER):
    found = kernels(EMBED, named, json.dumps(options), str(folder), json.dumps(texts))
    return found["encoder"], [bytes.fromhex(vector) for vector in found["vectors"]]


def test_it_runs_by_default_and_gives_the_graph_s_vectors(db, name):
    load(db, name, FOLDER)
    assert encoder(db, name)["kind"] == "native"
    own = [embed(db, text, name) for text in TEXTS]
    load(db, name, FOLDER, encoder="graph")
    assert encoder(db, name) == {"kind": "graph", "reason": "option encoder is 'graph'"}
    for text, vector in zip(TEXTS, own):
        assert distance(embed(db, text, name), floats(vector)) <= 1e-5
    unload(db, name)


def test_whoever_names_passes_gets_the_graph(db, name):
    load(db, name, FOLDER, passes="all")
    assert encoder(db, name) == {"kind": "graph", "reason": "option passes is for the graph"}
    unload(db, name)


@pytest.mark.parametrize("named", ["avx512_bf16", "avx512", "avx_vnni", "avx2", "none"])
def test_each_kind_of_kernels(db, named):
    """The same bits in fp32, whatever the CPU; the graph where there are no kernels."""
    flags = open("/proc/cpuinfo").read()
    wanted = {"avx512_bf16": "avx512_bf16", "avx512": "avx512_vnni", "avx_vnni": "avx_vnni", "avx2": "avx2", "none": ""}
    if wanted[named] not in flags:
        pytest.skip(f"this CPU has no {wanted[named]}")
    kind, vectors = run(named, {"cache_mb": 0})
    if named == "none":
        assert kind == {"kind": "graph", "reason": "BGE_KERNELS is 'none'"}
        return
    assert (kind["kind"], kind["kernels"]) == ("native", named)
    _, best = run("", {"cache_mb": 0})
    assert vectors == best
    _, graph = run("none", {"cache_mb": 0})
    for own, other in zip(vectors, graph):
        assert distance(own, floats(other)) <= 1e-5
    kind, whole = run(named, {"cache_mb": 0, "precision": "int8"})
    assert (kind["kind"], kind["kernels"]) == ("native", named)
    for own, other in zip(whole, graph):
        assert cosine(own, other) >= 0.99


def test_kernels_that_are_none_are_named(db):
    kind, _ = run("sse9", {})
    assert kind["kind"] == "graph" and "BGE_KERNELS is 'sse9', expected one of avx512_bf16" in kind["reason"]


@pytest.mark.skipif("avx512_bf16" not in (open("/proc/cpuinfo").read() if NATIVE else ""), reason="this CPU has no bfloat16")
def test_bf16(db, name):
    load(db, name, FOLDER, precision="bf16")
    assert value(db, "SELECT precision FROM bge_models WHERE name = ?", name) == "bf16"
    for text in TEXTS:
        assert cosine(embed(db, text, name), embed(db, text, SMALL)) >= 0.9995
    unload(db, name)


def test_bf16_is_refused_where_only_the_graph_can_run(db, name):
    message = str(failure(db, "SELECT bge_load(?, ?, ?)", name, FOLDER, '{"precision": "bf16", "encoder": "graph"}'))
    assert "option precision is 'bf16', which the native encoder alone has" in message
    message = str(failure(db, "SELECT bge_load(?, ?, ?)", name, f"{FIXTURES}/tiny-bert-fp16", '{"encoder": "native"}'))
    assert "option encoder is 'native'" in message and "computes in fp16" in message


def test_int8_is_joined_and_depends_on_no_neighbour(db, name):
    load(db, name, FOLDER, precision="int8", cache_mb=0)
    alone = [embed(db, text, name) for text in TEXTS]
    rows = db.execute("SELECT idx, embedding FROM bge_embed_each(?, ?)", (json.dumps(TEXTS), name))
    assert dict(rows) == dict(enumerate(alone))
    unload(db, name)


@pytest.mark.parametrize("count", [0, 1, 10_000])
def test_batches_of_any_size(db, name, count):
    load(db, name, f"{FIXTURES}/{TINY}")
    texts = [f"text {i}" * (1 + i % 3) for i in range(count)]
    rows = list(db.execute("SELECT idx, embedding FROM bge_embed_each(?, ?)", (json.dumps(texts), name)))
    assert [row[0] for row in rows] == list(range(count))
    for i in (0, count - 1) if count else ():
        assert rows[i][1] == embed(db, texts[i], name)
    unload(db, name)


def changed_graph(folder, change):
    """A copy of the tiny model whose graph's bytes were changed."""
    shutil.copytree(FIXTURES / TINY, folder)
    graph = folder / "onnx/model.onnx"
    content = graph.read_bytes()
    assert change(content) != content
    graph.write_bytes(change(content))
    return folder


@pytest.mark.parametrize("change, why", [
    (lambda graph: graph.replace(b"\x22\x03Erf", b"\x22\x04Tanh", 1), None),
    (lambda graph: graph.replace(b"\x22\x04Sqrt", b"\x22\x04Relu", 1), "no layer norm"),
    (lambda graph: graph.replace(struct.pack("<f", 2.828427), struct.pack("<f", 2.0), 1), "another scale"),
    (lambda graph: graph.replace(struct.pack("<f", 1e-12), struct.pack("<f", 1e-5), 1), "norms of different epsilons"),
], ids=["not ONNX", "no norm", "scale", "epsilon"])
def test_what_is_almost_bert_runs_as_its_graph(db, name, tmp_path, change, why):
    folder = changed_graph(tmp_path / "model", change)
    if why is None:
        # The length of the node no longer fits: no graph at all.
        assert "cannot be loaded" in str(failure(db, "SELECT bge_load(?, ?)", name, str(folder)))
        return
    load(db, name, str(folder))
    kind = encoder(db, name)
    assert kind["kind"] == "graph" and why in kind["reason"], kind
    own = embed(db, TEXTS[1], name)
    load(db, name, str(folder), passes="none")
    assert distance(embed(db, TEXTS[1], name), floats(own)) <= 1e-5
    unload(db, name)


def packed(folder):
    return [path for path in sorted(os.listdir(folder)) if path.endswith(".bge-packed")]


def test_packed_weights_are_kept_and_mapped(db, name, tmp_path):
    cache = tmp_path / "kept"
    states, vectors = [], []
    for _ in range(2):
        load(db, name, f"{FIXTURES}/{TINY}", graph_cache=str(cache), cache_mb=0)
        states.append((loaded(db)[name]["graph_cache"], encoder(db, name)["weights"]))
        vectors.append(embed(db, TEXTS[1], name))
    assert states == [("written", "packed when the model was loaded"), ("hit", "a mapped file")]
    assert vectors[0] == vectors[1]
    assert len(packed(cache)) == 1 and not [path for path in os.listdir(cache) if path.endswith("draft")]
    unload(db, name)


@pytest.fixture
def own_model(tmp_path):
    """A copy of the tiny model with packed weights in its own folder."""
    folder = tmp_path / "model"
    shutil.copytree(FIXTURES / TINY, folder)
    return folder


def pack(db, name, folder):
    load(db, name, str(folder), graph_cache=str(folder))
    [file] = packed(folder)
    return folder / file


def test_a_model_s_own_folder_is_looked_at(db, name, own_model):
    file = pack(db, name, own_model)
    assert file.name == "encoder-fp32.bge-packed"
    vector = embed(db, "text", name)
    load(db, name, str(own_model))
    assert encoder(db, name)["weights"] == "a mapped file"
    moved = own_model.rename(own_model.parent / "moved")
    load(db, name, str(moved))
    assert encoder(db, name)["weights"] == "a mapped file"
    shutil.copytree(moved, own_model)
    load(db, name, str(own_model))
    assert encoder(db, name)["weights"] == "a mapped file"
    assert embed(db, "text", name) == vector
    unload(db, name)


def weight_in(content):
    """Where a byte of a weight is: the numbers of a tensor stand behind its name."""
    name = b"encoder.layer.0.output.dense.weight"
    return content.rindex(name) + len(name) + 200


def damage_cut(file, other):
    os.truncate(file, file.stat().st_size - 64)


def damage_longer(file, other):
    file.open("ab").write(b"x" * 64)


def damage_empty(file, other):
    os.truncate(file, 0)


def damage_version(file, other):
    file.write_bytes(file.read_bytes().replace(b"packed encoder 1", b"packed encoder 9"))


def damage_header(file, other):
    file.write_bytes(file.read_bytes().replace(b'"hidden":32', b'"hidden":64'))


def damage_sizes(file, other):
    file.write_bytes(file.read_bytes().replace(b'"layers":2', b'"layers":255'))


def damage_weights(file, other):
    content = bytearray(file.read_bytes())
    content[-4096:] = bytes(range(256)) * 16
    file.write_bytes(content)


def damage_folder(file, other):
    file.unlink()
    file.mkdir()


def damage_other_model(file, other):
    shutil.copyfile(other, file)


@pytest.mark.parametrize("damage", [
    damage_cut, damage_longer, damage_empty, damage_version, damage_header, damage_sizes, damage_weights,
    damage_folder, damage_other_model], ids=lambda damage: damage.__name__[7:])
def test_a_packed_file_that_does_not_fit_is_not_used(db, name, own_model, tmp_path, damage):
    other = tmp_path / "other"
    shutil.copytree(FIXTURES / TINY, other)
    graph = other / "onnx/model.onnx"
    content = graph.read_bytes()
    at = weight_in(content)
    graph.write_bytes(content[:at] + bytes([content[at] ^ 1]) + content[at + 1:])
    other_file = pack(db, name, other)
    file = pack(db, name, own_model)
    vector = embed(db, "text", name)
    damage(file, other_file)
    load(db, name, str(own_model))
    assert encoder(db, name)["weights"] == "packed when the model was loaded"
    assert embed(db, "text", name) == vector
    load(db, name, str(own_model), graph_cache=str(own_model))
    state = loaded(db)[name]["graph_cache"]
    assert state.startswith("not written: " if damage is damage_folder else "written anew: "), state
    unload(db, name)


def test_a_model_that_changed_is_packed_anew(db, name, own_model):
    pack(db, name, own_model)
    before = embed(db, "text", name)
    graph = own_model / "onnx/model.onnx"
    content = graph.read_bytes()
    at = weight_in(content)
    times = graph.stat()
    graph.write_bytes(content[:at] + bytes([content[at] ^ 1]) + content[at + 1:])
    os.utime(graph, ns=(times.st_atime_ns, times.st_mtime_ns))
    load(db, name, str(own_model))
    assert encoder(db, name)["weights"] == "packed when the model was loaded"
    assert embed(db, "text", name) != before
    unload(db, name)


def test_a_file_that_others_can_write_is_copied(db, name, own_model):
    file = pack(db, name, own_model)
    vector = embed(db, "text", name)
    file.chmod(0o666)
    load(db, name, str(own_model))
    assert encoder(db, name)["weights"] == "a copy of a packed file"
    os.truncate(file, 0)
    assert embed(db, "another text", name) and embed(db, "text", name) == vector
    unload(db, name)


def test_many_pack_into_one_folder_at_once(tmp_path):
    code = EMBED.replace("json.loads(sys.argv[1])", "{'graph_cache': sys.argv[1], 'cache_mb': 0}")
    results = []

    def one():
        results.append(kernels(code, "", str(tmp_path / "kept"), str(FIXTURES / TINY), json.dumps(["a", "b c"])))

    threads = [threading.Thread(target=one) for _ in range(4)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    assert len({json.dumps(result["vectors"]) for result in results}) == 1 and len(results) == 4
    assert len(packed(tmp_path / "kept")) == 1


def test_an_index_of_the_graph_s_int8_says_so(db, name):
    """Its vectors are others than the native encoder's: it goes on with the graph, or is made anew."""
    index = name.replace("-", "_")
    load(db, name, f"{FIXTURES}/{TINY}", precision="int8", encoder="graph")
    db.execute(f"CREATE TABLE docs_{index}(id INTEGER PRIMARY KEY, body TEXT)")
    db.execute(f"INSERT INTO docs_{index}(body) VALUES ('one'), ('two')")
    db.execute(f"CREATE VIRTUAL TABLE index_{index} USING bge(body, content='docs_{index}', model='{name}')")
    db.execute(f"SELECT bge_sync('index_{index}')")
    search = f"SELECT rowid FROM index_{index} WHERE index_{index} MATCH 'one' AND k = 1"
    [found] = db.execute(search)
    load(db, name, f"{FIXTURES}/{TINY}", precision="int8")
    message = str(failure(db, search))
    assert "in the graph's int8" in message and '"encoder": "graph"' in message and "rebuild" in message
    load(db, name, f"{FIXTURES}/{TINY}", precision="int8", encoder="graph")
    assert list(db.execute(search)) == [found]
    db.execute(f"DROP TABLE index_{index}")
    db.execute(f"DROP TABLE docs_{index}")
    unload(db, name)
