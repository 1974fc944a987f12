"""docs/FORMAT.md says enough to read an index: a program that knows nothing else finds what MATCH finds.

tests/format/reader.py is that program. It runs in a process of its own and never loads the extension.
"""

import json
import random
import re
import sys

import pytest
from oracle import clustered, sentence
from support import FIXTURES, ROOT, TINY, blob, run, value

READER = ROOT / "tests" / "format" / "reader.py"
DOCUMENT = (ROOT / "docs" / "FORMAT.md").read_text(encoding="utf-8")


def read(file, index, query, k=10):
    """What the reader prints."""
    done = run([sys.executable, READER, file, index, query.hex(), k])
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def matched(db, index, query, k=10):
    return [list(row) for row in db.execute(f"SELECT rowid, distance FROM {index} WHERE {index} MATCH ? AND k = {k}", (query,))]


def same(found, wanted):
    assert [row for row, _ in found] == [row for row, _ in wanted]
    assert [distance for _, distance in found] == pytest.approx([distance for _, distance in wanted], abs=1e-9)


@pytest.mark.parametrize("storage", ["f32", "f16", "int8"])
@pytest.mark.parametrize("dims", [12, 16, 33])
def test_an_index_with_codes(connect, tmp_path, storage, dims):
    """Dimensions that are a power of two and that are none, even and odd."""
    db, chance = connect(database=tmp_path / "t.db"), random.Random(f"{storage} {dims}")
    db.execute(f"CREATE VIRTUAL TABLE t USING bge(body, content='', storage={storage}, model='{TINY}')")
    vectors = clustered(chance, 9_300, dims)
    vectors[17] = blob(*[0.0] * (dims - 1), 3.0)
    with db:
        db.executemany("INSERT INTO t(rowid, embedding) VALUES (?, ?)", enumerate(vectors))
        db.executemany("DELETE FROM t WHERE rowid = ?", ((n,) for n in range(5, 9_000, 37)))
    for _ in range(2):
        query = blob(*(x + chance.gauss(0, 0.1) for x in memoryview(chance.choice(vectors)).cast("f")))
        found, wanted = read(tmp_path / "t.db", "t", query), matched(db, "t", query)
        same(found["nearest"], wanted)
        same(found["by_codes"], wanted)
        assert found["read"] < 9_000 and found["codes"] > 8_900


def test_the_reader_sees_a_wrong_code_and_a_wrong_hash(connect, tmp_path):
    db, chance = connect(database=tmp_path / "t.db"), random.Random(3)
    db.execute(f"CREATE VIRTUAL TABLE t USING bge(body, model='{TINY}'); CREATE VIRTUAL TABLE c USING bge(body, content='')")
    db.execute("INSERT INTO t(body) VALUES ('a text')")
    value(db, "SELECT bge_sync('t')")
    vectors = clustered(chance, 8_192, 8)
    with db:
        db.executemany("INSERT INTO c(rowid, embedding) VALUES (?, ?)", enumerate(vectors))
    codes = bytearray(value(db, "SELECT codes FROM c_codes WHERE chunk = 3"))
    codes[500] ^= 4
    db.execute("UPDATE c_codes SET codes = ? WHERE chunk = 3", (codes,))
    db.execute("UPDATE t_rows SET hash = zeroblob(16)")
    for index, query in (("t", blob(*[1.0] * 32)), ("c", vectors[0])):
        done = run([sys.executable, READER, tmp_path / "t.db", index, query.hex()])
        assert done.returncode == 1 and "AssertionError: " + {"t": "row 1", "c": "slot"}[index] in done.stderr, done.stderr


def test_texts_titles_passages_and_numbers(connect, tmp_path):
    """Hashes of all kinds of rows, and rows of several passages."""
    db, chance = connect(database=tmp_path / "t.db"), random.Random(1)
    db.execute(f"CREATE VIRTUAL TABLE t USING bge(title, n INTEGER UNINDEXED, body, chunk_tokens=12, overlap=2, model='{TINY}')")
    texts = [(sentence(chance, 1, 3), sentence(chance, 1, 40)) for _ in range(60)]
    texts += [("a\nb", "c"), ("a", "b\nc"), (None, "x"), ("x", None), ("", ""), ("", None), (None, None), (7, -2**60), ("ä€𝄞", "日本"),
              (b"blob", "x"), ("x", b"")]
    with db:
        db.executemany("INSERT INTO t(title, n, body) VALUES (?, 1, ?)", texts)
    value(db, "SELECT bge_sync('t')")
    query = value(db, "SELECT bge_embed_query('reset my password', ?)", TINY)
    found = read(tmp_path / "t.db", "t", query)
    same(found["nearest"], matched(db, "t", query))
    assert found["hashes"] == len(texts)
    assert value(db, "SELECT count(*) FROM t_passages") > len(texts)
    # The place of a passage is in characters of the joined text.
    for title, body, start, stop, passage in db.execute(
            "SELECT title, body, p.start, p.stop, passage FROM t(?) AS s JOIN t_passages AS p ON p.row = s.rowid "
            "WHERE p.vector = s.embedding AND s.passage IS NOT NULL", (query,)):
        joined = "\n".join(str(part) for part in (title, body) if part is not None)
        assert joined[start:stop] == passage


def test_a_file_of_an_older_version():
    wanted = json.loads((FIXTURES / "index-v1.json").read_text(encoding="utf-8"))["before"]["answers"]["bare"]
    sys.path.insert(0, str(FIXTURES))
    import make_index_v1
    found = read(FIXTURES / "index-v1.db", "bare", bytes.fromhex(make_index_v1.query()), 6)
    assert [row for row, _ in found["nearest"]] == [row[0] for row in wanted]
    assert [d for _, d in found["nearest"]] == pytest.approx([row[1] for row in wanted], abs=1e-4)


def blocks(pattern):
    """Lines of the document's blocks that begin so."""
    return [line for block in re.findall(r"```text\n(.*?)```", DOCUMENT, re.DOTALL)
            for line in block.splitlines() if line.startswith(pattern)]


def test_tables_and_triggers_are_as_written(connect):
    """To the letter: the triggers of a dump are known by their text."""
    db = connect()
    db.execute(f"""CREATE TABLE docs(id INTEGER PRIMARY KEY, title, body);
        CREATE VIRTUAL TABLE t USING bge(title, body, lang TEXT COLLATE NOCASE UNINDEXED, model='{TINY}')""")
    db.execute("INSERT INTO t(body) VALUES ('the log is made with the first note')")
    stored = {sql.replace(" IF NOT EXISTS", "") for sql, in
              db.execute("SELECT sql FROM sqlite_schema WHERE name GLOB 't_*' AND type = 'table'")}
    tables = blocks("CREATE TABLE")
    assert stored == set(tables) and len(tables) == 6
    db.execute("DROP TABLE t")
    db.execute(f"CREATE VIRTUAL TABLE t USING bge(title, body, content='docs', model='{TINY}')")
    value(db, "SELECT bge_sync('t')")
    triggers = blocks("CREATE TRIGGER")
    noting = {sql for sql, in db.execute("SELECT sql FROM sqlite_schema WHERE type = 'trigger'")}
    assert len(noting) == 3 and noting < set(triggers)
    words = blocks("CREATE VIRTUAL TABLE")
    for wanted, option in zip(words, ("", ", words_tokenize='trigram'"), strict=True):
        db.execute("DROP TABLE t")
        db.execute(f"CREATE VIRTUAL TABLE t USING bge(title, body, content='docs', model='{TINY}', words=on{option})")
        assert value(db, "SELECT sql FROM sqlite_schema WHERE name = 't_words'") == wanted
    value(db, "SELECT bge_sync('t')")
    assert {sql for sql, in db.execute("SELECT sql FROM sqlite_schema WHERE type = 'trigger'")} == set(triggers)
    assert len(triggers) == 6


def test_keys_of_the_settings_are_all_described(connect):
    section = re.search(r"\n## t_config\n(.*?)\n## ", DOCUMENT, re.DOTALL)[1]
    described = set()
    for names in re.findall(r"^\| (`.*?`) \|", section, re.MULTILINE):
        described |= set(re.findall(r"`(\w+)`", names))
    db, chance = connect(), random.Random(2)
    db.execute(f"""CREATE TABLE docs(id INTEGER PRIMARY KEY, body);
        CREATE VIRTUAL TABLE over USING bge(body, content='docs', words=on, model='{TINY}');
        CREATE VIRTUAL TABLE t USING bge(body, content='', model='{TINY}')""")
    db.execute("INSERT INTO over(over, rank) VALUES ('rank', 'meaning')")
    db.execute("INSERT INTO docs VALUES (1, 'a')")
    db.execute("DROP TRIGGER over_words_ai")  # so that words are made again
    value(db, "SELECT bge_sync('over')")
    with db:
        db.executemany("INSERT INTO t(rowid, embedding) VALUES (?, ?)", enumerate(clustered(chance, 8_192, 8)))
    written = {k for k, in db.execute("SELECT k FROM over_config UNION SELECT k FROM t_config")}
    assert written == described
