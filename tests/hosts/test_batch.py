"""bge_batch: what it gives. Keys, texts, order, parameters, models, and how it sits in joins, inserts and updates.

Which SQL it takes, and tables that are written while they are read: test_batch_sql.py.
"""

import apsw
import pytest
from support import (SMALL, TINY, connect, distance, embed, failure, floats, fresh_text, inferences, load,
                     run_python, stopped_after, texts, unload, value)

OTHER = "tiny-bert-no-types"


def batch(db, sql, *arguments, columns="key, embedding, text"):
    marks = ", ".join("?" * (1 + len(arguments or (TINY,))))
    return list(db.execute(f"SELECT {columns} FROM bge_batch({marks})", (sql, *(arguments or (TINY,)))))


def fill(db, bodies):
    db.execute("CREATE TABLE docs(id INTEGER PRIMARY KEY, body, v BLOB); CREATE TABLE emb(id, v)")
    db.executemany("INSERT INTO docs(body) VALUES (?)", [(body,) for body in bodies])


@pytest.fixture
def docs(db):
    """300 texts of random lengths in docs(id, body, v), and an empty emb(id, v)."""
    fill(db, texts(300, seed=3))
    return db


def check_vectors(db, sql):
    """Rows (text, vector): each vector is the text's own. Gives how many rows there are."""
    rows = list(db.execute(sql))
    for text, vector in rows:
        assert distance(vector, floats(embed(db, text))) < 1e-6, text
    return len(rows)


# --- keys and texts ------------------------------------------------------------------------------

KEYS = ("NULL", "0", "-1", "9223372036854775807", "-9223372036854775808", "1.5", "2.0", "-0.0", "1e999", "''", "'key'",
        "'a' || char(0) || 'b'", "'👍'", "CAST(x'ff61' AS TEXT)", "x''", "x'00ff'", "zeroblob(1000)", "'1'", "1")


def test_a_key_is_handed_out_as_it_is(any_host):
    """Of any type, NULL, BLOB and text that is not UTF-8 included."""
    inner = " UNION ALL ".join(f"SELECT {key}, {n}" for n, key in enumerate(KEYS)).replace("'", "''")
    plain = " UNION ALL ".join(f"SELECT {key} AS key" for key in KEYS)
    shown = "typeof(key), hex(key), CASE WHEN typeof(key) = 'real' THEN CAST(key AS TEXT) END"
    assert any_host.rows(f"SELECT {shown} FROM bge_batch('{inner}', '{TINY}')") == any_host.rows(
        f"SELECT {shown} FROM ({plain})")


def test_a_key_keeps_its_type_in_an_insert(docs):
    docs.execute(f"CREATE TABLE keys(k); INSERT INTO keys VALUES {', '.join(f'({key})' for key in KEYS)}")
    docs.execute("INSERT INTO emb SELECT key, embedding FROM bge_batch('SELECT k, ''text'' FROM keys', ?)", (TINY,))
    shown = "SELECT typeof({0}), hex({0}) FROM {1} ORDER BY rowid"
    assert list(docs.execute(shown.format("id", "emb"))) == list(docs.execute(shown.format("k", "keys")))


def test_a_null_text_gives_a_null_embedding(db):
    found = batch(db, "VALUES (1, NULL), (2, 'a'), (3, NULL), (4, 'b'), (NULL, NULL)")
    assert found == [(1, None, None), (2, embed(db, "a"), "a"), (3, None, None), (4, embed(db, "b"), "b"),
                     (None, None, None)]


def test_a_number_counts_as_its_text(db):
    found = batch(db, "VALUES (1, 42), (2, 1.5), (3, -7)")
    assert [text for _, _, text in found] == ["42", "1.5", "-7"]
    for _, vector, text in found:
        assert distance(vector, floats(embed(db, text))) < 1e-6


@pytest.mark.parametrize("key, shown", [("7", "7"), ("'k7'", "k7"), ("1.5", "1.5"), ("NULL", "row")])
def test_a_blob_as_text_is_an_error_that_names_the_row(db, key, shown):
    error = failure(db, "SELECT * FROM bge_batch(?, ?)", f"VALUES (1000, 'a'), ({key}, x'61'), (2000, 'b')", TINY)
    assert isinstance(error, apsw.MismatchError)
    assert str(error).startswith("bge_batch: ") and "BLOB" in str(error) and "CAST" in str(error)
    assert shown in str(error) and "1000" not in str(error)


def test_a_text_that_is_not_utf8_is_an_error_that_names_the_row(db):
    message = str(failure(db, "SELECT * FROM bge_batch(?, ?)", "VALUES (1000, 'a'), (77, CAST(x'ff' AS TEXT))", TINY))
    assert message.startswith("bge_batch: ") and "UTF-8" in message and "77" in message


def test_a_row_with_a_large_key_is_named_in_a_short_message(db):
    for key in ("'" + "x" * 1_000_000 + "'", "zeroblob(1000000)", "CAST(x'ff' AS TEXT)", "'%s%n'"):
        assert len(str(failure(db, "SELECT * FROM bge_batch(?, ?)", f"SELECT {key}, x'61'", TINY))) < 1000


def test_a_text_that_would_be_cut_is_named_by_its_key(db):
    load(db, "strict-batch", max_length=16, overflow="error")
    assert len(batch(db, f"SELECT 1, '{'a ' * 14}'", "strict-batch")) == 1
    message = str(failure(db, "SELECT * FROM bge_batch(?, ?)", f"VALUES (1000, 'a'), (77, '{'a ' * 15}')", "strict-batch"))
    assert all(part in message for part in ("bge_batch: ", "77", "17", "16"))
    unload(db, "strict-batch")


def test_texts_of_every_kind(db):
    kinds = ["", " ", "a\0b", "👩‍👩‍👧‍👦", "中文", "e\u0301", "word " * 3000, "a" * 100_000, "[MASK] [PAD]", "\ufeffx"]
    fill(db, kinds)
    found = batch(db, "SELECT id, body FROM docs")
    assert [text for _, _, text in found] == kinds
    assert check_vectors(db, f"SELECT text, embedding FROM bge_batch('SELECT id, body FROM docs', '{TINY}')") == 10


def test_a_text_above_the_limit_is_too_big(db):
    sql = "SELECT 7, printf('%*s', 32 * 1024 * 1024 + 1, 'a')"
    assert isinstance(failure(db, "SELECT key FROM bge_batch(?, ?)", sql, TINY), apsw.TooBigError)


def test_a_utf16_database(connect):
    wide = connect()
    wide.execute("PRAGMA encoding = 'UTF-16le'")
    fill(wide, ["reset", "中文 👍", "", None, 42])
    assert [text for _, _, text in batch(wide, "SELECT id, body FROM docs")] == ["reset", "中文 👍", "", None, "42"]
    assert check_vectors(wide, "SELECT text, embedding FROM bge_batch('SELECT id, body FROM docs WHERE body <> ?1', "
                               f"'{TINY}', '中文')") == 4
    assert batch(wide, "SELECT '中文', 'a'", columns="key") == [("中文",)]


# --- order and vectors ---------------------------------------------------------------------------


@pytest.mark.parametrize("order", ["random()", "length(body)", "length(body) DESC", "id DESC", "body"])
def test_rows_come_in_the_selects_order(db, order):
    """Texts run sorted by length; that must not show."""
    fill(db, texts(5000, seed=4, longest=20))
    db.execute(f"CREATE TABLE wanted AS SELECT id, body FROM docs ORDER BY {order}")
    found = batch(db, "SELECT id, body FROM wanted ORDER BY rowid", columns="key, text")
    assert found == list(db.execute("SELECT id, body FROM wanted ORDER BY rowid"))


def test_the_vectors_are_those_of_single_calls(docs):
    assert check_vectors(docs, f"SELECT text, embedding FROM bge_batch('SELECT id, body FROM docs', '{TINY}')") == 300


def test_the_vectors_of_the_real_model_are_those_of_single_calls(db):
    fill(db, texts(60, seed=5, longest=120))
    rows = batch(db, "SELECT id, body FROM docs", SMALL)
    for _, vector, text in rows:
        assert distance(vector, floats(embed(db, text, SMALL))) < 1e-6


def test_the_order_of_the_rows_does_not_change_the_vectors(docs):
    by_key = [dict((key, vector) for key, vector, _ in batch(docs, f"SELECT id, body FROM docs ORDER BY {order}"))
              for order in ("id", "length(body)", "length(body) DESC", "random()")]
    for key in by_key[0]:
        assert all(distance(other[key], floats(by_key[0][key])) < 1e-6 for other in by_key)


def test_texts_run_together_in_full_batches(db):
    fill(db, [fresh_text("reset") for _ in range(1000)])
    before = inferences(db)
    assert len(batch(db, "SELECT id, body FROM docs")) == 1000
    assert inferences(db) - before < 60


def test_no_rows(docs):
    assert batch(docs, "SELECT id, body FROM docs WHERE 0") == []
    docs.execute("INSERT INTO emb SELECT key, embedding FROM bge_batch('SELECT 1, 2 WHERE 0', ?)", (TINY,))
    assert value(docs, "SELECT count(*) FROM emb") == 0


# --- parameters ----------------------------------------------------------------------------------


def test_p1_to_p8_are_bound_to_the_parameters_of_their_numbers(db):
    sql = "SELECT ?8 || ?1 || ?7 || ?2 || ?6 || ?3 || ?5 || ?4, 'a'"
    assert batch(db, sql, TINY, *"12345678", columns="key") == [("81726354",)]


def test_parameters_keep_their_types(db):
    given = (None, 7, 1.5, "text", b"\0\xff", "", b"", -2**63)
    sql = "SELECT " + " || ' ' || ".join(f"typeof(?{n}) || hex(coalesce(?{n}, 'none'))" for n in range(1, 9)) + ", 'a'"
    plain = "SELECT " + " || ' ' || ".join(f"typeof(?{n}) || hex(coalesce(?{n}, 'none'))" for n in range(1, 9))
    assert batch(db, sql, TINY, *given, columns="key") == list(db.execute(plain, given))


def test_a_parameter_is_a_value_and_never_sql(docs):
    evil = "x'; DROP TABLE docs; --"
    assert batch(docs, "SELECT ?1, 'a'", TINY, evil, columns="key") == [(evil,)]
    assert value(docs, "SELECT count(*) FROM docs") == 300


def test_parameters_in_an_insert(docs):
    docs.execute("INSERT INTO emb SELECT key, embedding FROM bge_batch('SELECT id, body FROM docs WHERE id > ?1 AND id < ?2', "
                 "?, ?, ?)", (TINY, 10, 13))
    assert list(docs.execute("SELECT id FROM emb")) == [(11,), (12,)]


@pytest.mark.parametrize("count", [0, 1, 3, 8])
def test_too_few_or_too_many_values_are_an_error_with_both_counts(db, count):
    values = [str(n) for n in range(count)]
    marks = "".join(", ?" for _ in values)
    message = str(failure(db, f"SELECT * FROM bge_batch('SELECT ?1, ?2', ?{marks})", TINY, *values))
    assert message.startswith("bge_batch: ") and "2 parameters" in message and f"{count} value" in message


def test_a_value_for_a_select_without_parameters_is_an_error(db):
    assert "bge_batch: " in str(failure(db, "SELECT * FROM bge_batch('SELECT 1, 2', ?, 3)", TINY))


def test_a_ninth_value_is_an_error(db):
    assert "bge_batch" in str(failure(db, "SELECT * FROM bge_batch('SELECT 1, 2', ?, 1,2,3,4,5,6,7,8,9)", TINY))


def test_parameters_of_a_join_change_from_row_to_row(docs):
    found = list(docs.execute("SELECT p.n, b.key FROM (SELECT 3 AS n UNION ALL SELECT 5 UNION ALL SELECT 999) p, "
                              "bge_batch('SELECT id, body FROM docs WHERE id = ?1', ?, p.n) b", (TINY,)))
    assert sorted(found) == [(3, 3), (5, 5)]


def test_one_statement_with_other_arguments(docs):
    """A plan is made once; the host's statement cache runs it again."""
    for last in (3, 1, 0, 5, 300):
        for model in (TINY, OTHER):
            found = batch(docs, "SELECT id, body FROM docs WHERE id <= ?1", model, last)
            assert [key for key, _, _ in found] == list(range(1, last + 1))
            assert all(distance(vector, floats(embed(docs, text, model))) < 1e-6 for _, vector, text in found[:3])
    for sql in ("SELECT 1, 'a'", "SELECT 2, 'b'", "SELECT id, body FROM docs LIMIT 4"):
        assert batch(docs, sql, columns="key, text") == list(docs.execute(sql))


def test_the_schema_may_change_between_two_runs(docs):
    sql = "SELECT id, body FROM docs"
    assert len(batch(docs, sql)) == 300
    docs.execute("ALTER TABLE docs RENAME TO gone")
    assert "no such table: docs" in str(failure(docs, "SELECT key, embedding, text FROM bge_batch(?, ?)", sql, TINY))
    docs.execute("CREATE VIEW docs AS SELECT id, body FROM gone WHERE id < 3")
    assert [key for key, _, _ in batch(docs, sql)] == [1, 2]


# --- models --------------------------------------------------------------------------------------


def test_the_model_argument_chooses_the_model(db):
    [(_, one, _)], [(_, other, _)] = batch(db, "SELECT 1, 'reset'", TINY), batch(db, "SELECT 1, 'reset'", OTHER)
    assert distance(one, floats(embed(db, "reset", TINY))) < 1e-6
    assert distance(other, floats(embed(db, "reset", OTHER))) < 1e-6


def test_no_model_and_a_null_model_are_the_default_model(db, monkeypatch):
    for call in ("bge_batch('SELECT 1, ''reset''')", "bge_batch('SELECT 1, ''reset''', NULL)",
                 "bge_batch('SELECT ?1, ''reset''', NULL, 1)"):
        vector = value(db, f"SELECT embedding FROM {call}")
        assert distance(vector, floats(value(db, "SELECT bge_embed('reset')"))) < 1e-6
    monkeypatch.setenv("BGE_MODEL", OTHER)
    vector = value(db, "SELECT embedding FROM bge_batch('SELECT 1, ''reset''', NULL)")
    assert distance(vector, floats(embed(db, "reset", OTHER))) < 1e-6


@pytest.mark.parametrize("model", ["no-such-model", "../tiny-bert", "", 5, b"tiny-bert"])
def test_a_bad_model_argument_is_an_error(db, model):
    assert "bge_batch: " in str(failure(db, "SELECT * FROM bge_batch('SELECT 1, 2', ?)", model))


# --- the two uses of the documentation, and others -----------------------------------------------


def test_insert_select_in_every_host(any_host):
    rows = any_host.rows(
        "CREATE TABLE docs(id INTEGER PRIMARY KEY, body)", "CREATE TABLE emb(id, v)",
        "INSERT INTO docs(body) VALUES ('reset'), ('the password'), (NULL), (42)",
        f"INSERT INTO emb(id, v) SELECT key, embedding FROM bge_batch('SELECT id, body FROM docs', '{TINY}')",
        f"SELECT e.id, length(e.v), round(bge_cosine(e.v, bge_embed(body, '{TINY}')), 5) FROM emb e JOIN docs USING (id)")
    assert [row[:1] + [row[1] or 0] for row in rows] == [[1, 128], [2, 128], [3, 0], [4, 128]]
    assert [row[2] for row in rows if row[1]] == [1.0, 1.0, 1.0]


UPDATE = """UPDATE docs SET v = b.embedding FROM bge_batch('SELECT rowid, body FROM docs WHERE v IS NULL', ?) b
            WHERE docs.rowid = b.key"""


def test_update_from(docs):
    docs.execute("UPDATE docs SET v = 'is set' WHERE id % 3 = 0")
    before = inferences(docs)
    with stopped_after(docs, 20):
        docs.execute(UPDATE, (TINY,))
    assert inferences(docs) - before < 60, "bge_batch was scanned more than once"
    assert check_vectors(docs, "SELECT body, v FROM docs WHERE id % 3") == 200
    assert value(docs, "SELECT count(*) FROM docs WHERE v = 'is set'") == 100
    docs.execute(UPDATE, (TINY,))
    assert docs.changes() == 0


JOINED = "SELECT count(*) FROM docs d JOIN bge_batch('SELECT id, body FROM docs', '{0}') b ON {1}"


@pytest.mark.parametrize("condition", ["b.key = d.id", "b.key = d.rowid", "d.body = b.text", "b.key + 0 = d.id"])
def test_a_join_scans_it_once(any_host, condition):
    """Counted in inferences of a model of its own: 300 short texts are some 6 batches."""
    name = f"joined-{fresh_text('')}".replace(" ", "")
    setup = ["CREATE TABLE docs(id INTEGER PRIMARY KEY, body)",
             "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 300) "
             "INSERT INTO docs(body) SELECT 'text number ' || i FROM n",
             f"CREATE TABLE counted AS SELECT bge_load('{name}', '{TINY}') AS x, 0 AS n",
             f"UPDATE counted SET n = ({JOINED.format(name, condition)})"]
    [[count, inferences]] = any_host.rows(*setup, f"""SELECT (SELECT n FROM counted), json_extract(value, '$.inferences')
        FROM json_each(bge_info(), '$.loaded') WHERE json_extract(value, '$.name') = '{name}'""")
    assert count == 300
    assert 1 <= inferences < 40


def test_a_left_join_gives_every_row(docs):
    found = list(docs.execute("SELECT d.id, b.key FROM docs d LEFT JOIN bge_batch('SELECT id, body FROM docs WHERE id < 3', "
                              "?) b ON b.key = d.id WHERE d.id < 6", (TINY,)))
    assert found == [(1, 1), (2, 2), (3, None), (4, None), (5, None)]


def test_two_batches_in_one_statement_and_two_at_once(docs):
    sql = ("SELECT a.key, b.key FROM bge_batch('SELECT id, body FROM docs WHERE id < 4', ?1) a, "
           "bge_batch('SELECT id, body FROM docs WHERE id < 4', ?1) b WHERE a.key = b.key")
    assert sorted(docs.execute(sql, (TINY,))) == [(1, 1), (2, 2), (3, 3)]
    one, two = (docs.cursor().execute("SELECT key FROM bge_batch(?, ?)", (f"SELECT id, body FROM docs ORDER BY {order}", TINY))
                for order in ("id", "id DESC"))
    for n, ((up,), (down,)) in enumerate(zip(one, two, strict=True)):
        assert (up, down) == (n + 1, 300 - n)


def test_a_limit_reads_only_a_part(db):
    """Of an endless SELECT, too."""
    endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i, 'text ' || i FROM n"
    with stopped_after(db, 20):
        before = inferences(db)
        assert list(db.execute("SELECT key FROM bge_batch(?, ?) LIMIT 5", (endless, TINY))) == [(n,) for n in range(1, 6)]
        assert inferences(db) - before < 20
        assert value(db, "SELECT EXISTS (SELECT 1 FROM bge_batch(?, ?))", endless, TINY) == 1


def test_memory_does_not_grow_with_the_rows(tmp_path):
    """From a file into a file: what 1,000 rows need, and what 100,000 need."""
    code = """
db = connect(database=sys.argv[1])
db.execute("CREATE TABLE docs(id INTEGER PRIMARY KEY, body); CREATE TABLE emb(id, v)")
db.execute("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT ?) "
           "INSERT INTO docs SELECT i, 'text number ' || i FROM n", (int(sys.argv[2]),))
db.execute("INSERT INTO emb SELECT key, embedding FROM bge_batch('SELECT id, body FROM docs', 'tiny-bert')")
assert value(db, "SELECT count(*) FROM emb WHERE length(v) = 128") == int(sys.argv[2])
[peak] = [line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")]
print(int(peak) / 1024)
"""
    few, many = [float(run_python(code, tmp_path / f"{rows}.db", rows)) for rows in (1000, 100_000)]
    assert many < few + 50, (few, many)


def test_connections_side_by_side_do_not_disturb_each_other(docs):
    other = connect()
    other.execute("CREATE TABLE docs(id INTEGER PRIMARY KEY, body); INSERT INTO docs VALUES (1, 'of the other')")
    assert batch(other, "SELECT id, body FROM docs", columns="text") == [("of the other",)]
    assert len(batch(docs, "SELECT id, body FROM docs")) == 300
    other.close()
