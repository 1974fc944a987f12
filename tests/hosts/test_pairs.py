"""bge_pairs(index, min_score): every pair of rows that near, each once, beside a matrix of cosines in numpy."""

import itertools
import random
import threading
import time

import apsw
import numpy as np
import pytest
from oracle import sentence
from support import TINY, connect as open_connection, failure, value

ALL = "SELECT a, b, score FROM bge_pairs('t', ?)"
DECODED = {
    "f32": lambda stored: np.frombuffer(stored, "<f4").astype(np.float64),
    "f16": lambda stored: np.frombuffer(stored, "<f2").astype(np.float64),
    "int8": lambda stored: np.float64(1) * (np.frombuffer(stored[4:], "i1").astype("<f4")
                                            * np.frombuffer(stored[:4], "<f4")),
}


def clustered(rng, count, dims, spread=0.5, clusters=60):
    """Vectors around some centres, a few of them equal, not of unit length."""
    centres = rng.standard_normal((clusters, dims))
    made = centres[rng.integers(clusters, size=count)] + spread * rng.standard_normal((count, dims))
    same = rng.integers(count, size=(count // 50, 2))
    made[same[:, 0]] = made[same[:, 1]]
    made *= rng.uniform(0.5, 2, size=(count, 1))
    return made.astype("<f4")


def given(db, vectors, rows=None, options=""):
    """An index `t` of ready-made vectors."""
    db.execute(f"CREATE VIRTUAL TABLE t USING bge(body, content=''{options})")
    rows = range(1, len(vectors) + 1) if rows is None else rows
    with db:
        db.executemany("INSERT INTO t(rowid, embedding) VALUES (?, ?)",
                       ((int(row), vector.tobytes()) for row, vector in zip(rows, vectors)))


def unit(vectors):
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors / np.where(norms == 0, 1, norms)


def stored(db, storage="f32"):
    """Rows and unit vectors of all passages, as they are kept."""
    found = db.execute("SELECT row, vector FROM t_passages ORDER BY row, slot").fetchall()
    return np.array([row for row, _ in found]), unit(np.array([DECODED[storage](v) for _, v in found]))


def expected(rows, units, least):
    """Arrays a, b, score of all pairs, in order: the best cosine of two passages. Rows are in order."""
    names, starts = np.unique(rows, return_index=True)
    ends, found = [*starts[1:], len(rows)], []
    for first in range(0, len(names), 400):
        last = min(first + 400, len(names))
        scores = units[starts[first]:ends[last - 1]] @ units.T
        best = np.maximum.reduceat(np.maximum.reduceat(scores, starts, axis=1), starts[first:last] - starts[first], axis=0)
        a, b = np.nonzero(best >= least)
        behind = b > a + first
        a, b = a[behind], b[behind]
        found.append((names[a + first], names[b], best[a, b]))
    return [np.concatenate(arrays) for arrays in zip(*found)]


def check(got, rows, units, least):
    """The pairs are those of the matrix, in order, each once. Within rounding of `least` either is right."""
    wanted = {(a, b): score for a, b, score in zip(*(array.tolist() for array in expected(rows, units, least - 1e-9)))}
    keys = [(a, b) for a, b, _ in got]
    assert keys == sorted(set(keys)), "out of order, or a pair came twice"
    certain = {key for key, score in wanted.items() if score > least + 1e-9}
    assert certain <= set(keys) <= set(wanted)
    assert all(score >= least and abs(score - wanted[a, b]) < 1e-6 for a, b, score in got)
    return len(got)


def quantile(rows, units, share):
    """The score that this share of the pairs is above."""
    return float(min(1, np.quantile(expected(rows, units, -2)[2], 1 - share)))


@pytest.mark.parametrize("storage", list(DECODED))
def test_vectors_with_codes_and_a_tail(connect, storage):
    """9,500 vectors: nine coded chunks, and a tail that has no codes."""
    db, rng = connect(), np.random.default_rng(1)
    given(db, clustered(rng, 9_500, 64), rng.permutation(20_000)[:9_500] - 5_000, f", storage={storage}")
    assert value(db, "SELECT count(*) FROM t_codes") == 9
    for least in (0.999999, 0.95, 0.88):
        got = db.execute(ALL, (least,)).fetchall()
        assert check(got, *stored(db, storage), least) > 100


def test_few_vectors_have_no_codes(connect):
    db, rng = connect(), np.random.default_rng(2)
    vectors = clustered(rng, 300, 5)
    vectors[3] = vectors[9] = 0
    given(db, vectors)
    everything = db.execute(ALL, (-1,)).fetchall()
    assert check(everything, *stored(db), -1) == 300 * 299 // 2
    for least in (-0.5, 0, 1e-300, 0.9, 1):
        check(db.execute(ALL, (least,)).fetchall(), *stored(db), least)
    # The zero vector has cosine 0 with everything.
    assert [score for a, b, score in everything if 4 in (a, b)] == [0] * 299


def test_millions_of_pairs(connect):
    """More than 4 million pairs: more than a block may hold, so that blocks are begun again."""
    db, rng = connect(), np.random.default_rng(3)
    given(db, rng.standard_normal((8_200, 16)).astype("<f4"), rng.permutation(8_200))
    rows, units = stored(db)
    scores = (units @ units.T)[np.triu_indices(len(rows), 1)]
    counted, least, total = value(db, "SELECT count(*) || ' ' || min(score) || ' ' || total(score) FROM bge_pairs('t', 0.2)").split()
    assert int(counted) == np.count_nonzero(scores >= 0.2) > 4_000_000
    assert float(least) >= 0.2
    assert abs(float(total) - scores[scores >= 0.2].sum()) < 1


def several_passages(db, chance, count, words=(1, 60)):
    db.execute(f"CREATE TABLE docs(id INTEGER PRIMARY KEY, body TEXT);"
               f"CREATE VIRTUAL TABLE t USING bge(body, content='docs', model='{TINY}', chunk_tokens=12, overlap=2)")
    with db:
        db.executemany("INSERT INTO docs(body) VALUES (?)", ((sentence(chance, *words),) for _ in range(count)))
        db.execute("INSERT INTO docs(body) VALUES (NULL), (''), ('  '), (x'00')")
    value(db, "SELECT bge_sync('t')")


def test_rows_of_several_passages(connect):
    db, chance = connect(), random.Random(4)
    several_passages(db, chance, 300)
    # Slots that are freed are used again: a row's are then anywhere.
    db.execute("DELETE FROM docs WHERE id % 7 = 0")
    db.execute("UPDATE docs SET body = body || ' ' || body WHERE id % 5 = 0")
    value(db, "SELECT bge_sync('t')")
    rows, units = stored(db)
    assert len(rows) > 2 * len(set(rows))
    for share in (0.01, 0.2):
        least = quantile(rows, units, share)
        assert check(db.execute(ALL, (least,)).fetchall(), rows, units, least) > 200


def test_rows_of_several_passages_with_codes(connect):
    db, chance = connect(), random.Random(5)
    several_passages(db, chance, 500, (20, 80))
    rows, units = stored(db)
    assert value(db, "SELECT count(*) FROM t_codes") > 7
    least = quantile(rows, units, 0.02)
    assert check(db.execute(ALL, (least,)).fetchall(), rows, units, least) > 2_000


def test_one_row_of_very_many_passages(connect):
    """More passages than are compared together, in two rows that are alike in one of them."""
    db, chance = connect(), random.Random(6)
    several_passages(db, chance, 3)
    long = [" ".join(sentence(chance, 12, 12) + "." for _ in range(400)) for _ in range(2)]
    with db:
        db.executemany("INSERT INTO docs(body) VALUES (?)", ((text,) for text in long))
    value(db, "SELECT bge_sync('t')")
    rows, units = stored(db)
    assert max(np.unique(rows, return_counts=True)[1]) > 300
    check(db.execute(ALL, (0.3,)).fetchall(), rows, units, 0.3)


def test_rows_without_text_are_in_no_pair(connect):
    db = connect()
    several_passages(db, random.Random(7), 20)
    found = {row for a, b, _ in db.execute(ALL, (-1,)) for row in (a, b)}
    assert found == {row for row, in db.execute("SELECT DISTINCT row FROM t_passages")}
    assert not found & {row for row, in db.execute("SELECT id FROM docs WHERE body IS NULL OR typeof(body) = 'blob'")}


def test_a_pair_s_score_is_that_of_match(connect):
    """To the bit, where a has one passage; b may have several."""
    db = connect()
    several_passages(db, random.Random(8), 60, (1, 8))
    ones = {row for row, in db.execute("SELECT row FROM t_passages GROUP BY row HAVING count(*) = 1")}
    pairs = [pair for pair in db.execute(ALL, (0.6,)) if pair[0] in ones]
    assert len(pairs) > 100 and any(b not in ones for _, b, _ in pairs)
    for a, b, score in pairs:
        assert value(db, "SELECT score FROM t WHERE t MATCH (SELECT embedding FROM t WHERE rowid = ?) AND rowid = ?",
                     a, b) == score


# ---- portions -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def coded():
    db, rng = open_connection(), np.random.default_rng(9)
    given(db, clustered(rng, 8_700, 32), sorted(rng.permutation(30_000)[:8_700] - 10_000))
    yield db
    db.close()


def test_portions_of_rowids_make_the_whole(coded):
    whole = coded.execute(ALL, (0.9,)).fetchall()
    assert len(whole) > 1_000
    ends = [-20_000, -9_990, -5_000, -4_999, 0, 3, 3_000, 12_345, 25_000]
    portions = []
    for least, greatest in itertools.pairwise(ends):
        portions += coded.execute(f"{ALL} WHERE a BETWEEN ? AND ?", (0.9, least + 1, greatest)).fetchall()
    assert portions == whole
    half_open = coded.execute(f"{ALL} WHERE a >= 100 AND a < 5000", (0.9,)).fetchall()
    assert half_open == [pair for pair in whole if 100 <= pair[0] < 5000]


@pytest.mark.parametrize("where", [
    "a = 17", "a = {a}", "b = {b}", "a < -9000", "a <= {a}", "a > {a}", "a >= {a}", "b > 19000", "b < {b}", "a >= b", "b <= {a}",
    "a > 100 AND a > 200 AND b < 9000.5", "a BETWEEN 50.5 AND '400'", "a IN ({a}, {b}, 5)", "a = 'x'", "a < 'x'", "a > 'x'",
    "a = NULL", "a > 1e300", "a < 1e300", "a > -1e300", "a = 2.5", "a > x'00'", "a < x'00'", "b > 9223372036854775806",
    "a < -9223372036854775807", "a = {a} OR b = {a}", "score > 0.97 AND a < 0", "a IS NOT NULL", "a + 0 = {a}",
    "a IN (SELECT b FROM pairs WHERE score > 0.99)", "a > {before}", "a < {after}", "b > {b_before} AND b < {b_after}", "a > 9223372036854775807", "b = 9223372036854775807",
])
def test_conditions_keep_what_they_keep_of_a_table(coded, where):
    coded.execute("CREATE TEMP TABLE IF NOT EXISTS pairs(a INTEGER, b INTEGER, score REAL)")
    if not value(coded, "SELECT count(*) FROM pairs"):
        coded.execute("INSERT INTO pairs SELECT a, b, score FROM bge_pairs('t', 0.9)")
    a, b = coded.execute("SELECT a, b FROM pairs ORDER BY score DESC, a LIMIT 1 OFFSET 20").fetchone()
    where = where.format(a=a, b=b, before=a - 1, after=a + 1, b_before=b - 1, b_after=b + 1)
    wanted = coded.execute(f"SELECT * FROM pairs WHERE {where} ORDER BY a, b").fetchall()
    assert coded.execute(f"SELECT * FROM bge_pairs('t', 0.9) WHERE {where} ORDER BY a, b").fetchall() == wanted
    if where == f"a = {a}":
        assert wanted


def test_the_first_and_the_last_rowid(connect):
    """Also where the rows b seek, since few of them are asked for; with codes, and with a tail."""
    db, rng = connect(), np.random.default_rng(23)
    ends = [-2**63, -2**63 + 1, 2**63 - 2, 2**63 - 1]
    rows = [*ends[:2], *range(0, 8_400), *ends[2:]]
    vectors = rng.standard_normal((len(rows), 12)).astype("<f4")
    vectors[[0, 1, 100, -2, -1]] = vectors[0]
    given(db, vectors, rows)
    alike = sorted(itertools.combinations(sorted([*ends, 98]), 2))
    same = "score > 0.99999"
    assert db.execute(f"SELECT a, b FROM bge_pairs('t', 0.9) WHERE {same}").fetchall() == alike
    for where, keep in (("b >= 9223372036854775806", lambda a, b: b >= ends[2]), ("b = 9223372036854775807", lambda a, b: b == ends[3]),
                        ("b < 100", lambda a, b: b < 100), ("b = -9223372036854775807", lambda a, b: b == ends[1]),
                        ("a = -9223372036854775808", lambda a, b: a == ends[0]), ("a >= 98", lambda a, b: a >= 98),
                        ("b = 98 AND a > -9223372036854775808", lambda a, b: b == 98 and a > ends[0]),
                        ("b = -9223372036854775808", lambda a, b: False), ("a = 9223372036854775807", lambda a, b: False)):
        sql = f"SELECT a, b FROM bge_pairs('t', 0.9) WHERE {where} AND {same} ORDER BY a, b"
        assert db.execute(sql).fetchall() == [pair for pair in alike if keep(*pair)], where


def test_new_rows_with_all_others(coded):
    """Conditions on b: then the rows b seek, and ORDER BY is SQLite's."""
    whole = coded.execute(ALL, (0.85,)).fetchall()
    last = sorted({b for _, b, _ in whole})[-300]
    new = coded.execute(f"{ALL} WHERE b > ? ORDER BY a, b", (0.85, last)).fetchall()
    assert new == [pair for pair in whole if pair[1] > last] and len(new) > 100
    assert sorted(coded.execute(f"{ALL} WHERE b > ?", (0.85, last))) == new
    some = coded.execute(f"{ALL} WHERE b > ? AND a BETWEEN -3000 AND 9000 ORDER BY a, b", (0.85, last)).fetchall()
    assert some == [pair for pair in new if -3000 <= pair[0] <= 9000]


def plan(db, sql):
    return " ".join(row[-1] for row in db.execute("EXPLAIN QUERY PLAN " + sql))


def test_the_plan_says_what_is_pushed_down(coded):
    assert "INDEX 0:3 a>= a<=" in plan(coded, "SELECT * FROM bge_pairs('t', 0.9) WHERE a BETWEEN 1 AND 2")
    assert "INDEX 0:3 b>" in plan(coded, "SELECT * FROM bge_pairs('t', 0.9) WHERE b > 1 + random() AND score > 0.95")
    for order, sorts in (("a", False), ("a, b", False), ("b", True), ("a DESC", True), ("a, b, score", True), ("score", True)):
        sql = f"SELECT * FROM bge_pairs('t', 0.9) ORDER BY {order}"
        assert ("TEMP B-TREE" in plan(coded, sql)) == sorts, order
    assert "TEMP B-TREE" not in plan(coded, "SELECT * FROM bge_pairs('t', 0.9) WHERE a > 5 ORDER BY a, b")
    assert "TEMP B-TREE" in plan(coded, "SELECT * FROM bge_pairs('t', 0.9) WHERE b > 5 ORDER BY a, b")


def test_a_portion_costs_its_share(coded):
    """New rows against all: the old ones are not compared with each other."""
    def seconds(sql):
        begun = time.perf_counter()
        coded.execute(sql).fetchall()
        return time.perf_counter() - begun
    whole = min(seconds("SELECT * FROM bge_pairs('t', 0.99)") for _ in range(3))
    one = min(seconds("SELECT * FROM bge_pairs('t', 0.99) WHERE a = 17") for _ in range(3))
    new = min(seconds("SELECT * FROM bge_pairs('t', 0.99) WHERE b > 19900") for _ in range(3))
    assert one < whole / 3 and new < whole / 3, (whole, one, new)


# ---- what a statement sees -------------------------------------------------------------------------


def test_pending_rows_are_what_they_are_to_match(connect):
    """The newest are embedded for the query; what is not keeps its old vector."""
    db = connect()
    several_passages(db, random.Random(10), 30, (1, 8))
    db.execute("UPDATE docs SET body = (SELECT body FROM docs WHERE id = 1) WHERE id = 9")
    db.execute("INSERT INTO docs(id, body) SELECT 500, body FROM docs WHERE id = 2")
    db.execute("DELETE FROM docs WHERE id = 3")
    db.execute("UPDATE docs SET body = NULL WHERE id = 4")
    before = db.execute(ALL, (0.7,)).fetchall()
    assert {(1, 9), (2, 500)} <= {(a, b) for a, b, score in before if score > 0.999999}
    assert not {3, 4} & {row for a, b, _ in before for row in (a, b)}
    value(db, "SELECT bge_sync('t')")
    assert db.execute(ALL, (0.7,)).fetchall() == before


def test_pending_rows_beside_codes(connect):
    db, rng = connect(), np.random.default_rng(11)
    db.execute(f"CREATE TABLE docs(id INTEGER PRIMARY KEY, body TEXT);"
               f"CREATE VIRTUAL TABLE t USING bge(body, content='docs', model='{TINY}')")
    chance = random.Random(11)
    with db:
        db.executemany("INSERT INTO docs(body) VALUES (?)", ((sentence(chance, 5, 9) + f" {n}",) for n in range(8_300)))
    value(db, "SELECT bge_sync('t')")
    assert value(db, "SELECT count(*) FROM t_codes") == 8
    for source, target in ((5, 8_000), (8_250, 7), (100, 8_299)):
        db.execute("UPDATE docs SET body = (SELECT body FROM docs WHERE id = ?) WHERE id = ?", (source, target))
    db.execute("DELETE FROM docs WHERE id = 5000")
    before = db.execute(ALL, (0.98,)).fetchall()
    assert {(5, 8_000), (7, 8_250), (100, 8_299)} <= {(a, b) for a, b, _ in before}
    value(db, "SELECT bge_sync('t')")
    assert db.execute(ALL, (0.98,)).fetchall() == before
    assert check(before, *stored(db), 0.98) > 20


def test_more_pending_rows_than_a_query_embeds(connect):
    db = connect()
    several_passages(db, random.Random(12), 200, (1, 8))
    before = db.execute(ALL, (0.8,)).fetchall()
    db.execute("UPDATE docs SET body = body || ' ' || body")
    # As in a search: those left out keep their old vectors.
    found = {row for row, in db.execute("SELECT rowid FROM t('reset')")}
    pairs = db.execute(ALL, (-1,)).fetchall()
    assert {row for a, b, _ in pairs for row in (a, b)} == found
    assert pairs and before


def test_without_a_model_pending_rows_are_left_out(connect, tmp_path):
    db = connect(database=tmp_path / "i.db")
    given(db, np.eye(3, 4, dtype="<f4"), options=", model='no-such-model'")
    db.execute("INSERT INTO t(rowid, body) VALUES (9, 'pending')")
    assert db.execute(ALL, (-1,)).fetchall() == [(1, 2, 0), (1, 3, 0), (2, 3, 0)]


def test_rows_that_are_gone_without_a_note(connect):
    db = connect()
    several_passages(db, random.Random(13), 20, (1, 8))
    for name, in db.execute("SELECT name FROM sqlite_schema WHERE type = 'trigger'").fetchall():
        db.execute(f'DROP TRIGGER "{name}"')
    before = {(a, b) for a, b, _ in db.execute(ALL, (-1,))}
    db.execute("DELETE FROM docs WHERE id = 6")
    assert {(a, b) for a, b, _ in db.execute(ALL, (-1,))} == {pair for pair in before if 6 not in pair}


@pytest.mark.parametrize("content", ["view", "own"])
def test_other_contents(connect, content):
    db, chance = connect(), random.Random(14)
    if content == "view":
        db.execute(f"CREATE TABLE parts(id INTEGER PRIMARY KEY, body TEXT); CREATE VIEW docs AS SELECT id, body FROM parts WHERE id < 900;"
                   f"CREATE VIRTUAL TABLE t USING bge(body, content='docs', content_rowid='id', model='{TINY}')")
        target = "parts(id, body)"
    else:
        db.execute(f"CREATE VIRTUAL TABLE t USING bge(body, model='{TINY}')")
        target = "t(rowid, body)"
    with db:
        db.executemany(f"INSERT INTO {target} VALUES (?, ?)", ((n, sentence(chance)) for n in range(1, 301)))
    value(db, "SELECT bge_sync('t')")
    assert check(db.execute(ALL, (0.8,)).fetchall(), *stored(db), 0.8) > 50
    if content == "view":
        db.execute("UPDATE parts SET id = id + 900 WHERE id < 100")
        assert min(a for a, _, _ in db.execute(ALL, (0.5,))) >= 100


def test_writes_of_the_same_transaction_are_seen_and_rolled_back(connect):
    db, rng = connect(), np.random.default_rng(15)
    vectors = clustered(rng, 8_300, 16)
    given(db, vectors)
    before = db.execute(ALL, (0.99,)).fetchall()
    db.execute("BEGIN")
    db.execute("INSERT INTO t(rowid, embedding) VALUES (100000, ?)", (vectors[77].tobytes(),))
    db.execute("UPDATE t SET embedding = ? WHERE rowid = 500", (vectors[4000].tobytes(),))
    db.execute("DELETE FROM t WHERE rowid BETWEEN 20 AND 70")
    during = db.execute(ALL, (0.99,)).fetchall()
    assert {(78, 100000), (500, 4001)} <= {(a, b) for a, b, _ in during}
    check(during, *stored(db), 0.99)
    db.execute("ROLLBACK")
    assert db.execute(ALL, (0.99,)).fetchall() == before
    check(before, *stored(db), 0.99)


@pytest.mark.parametrize("count", [600, 8_400])
def test_rows_may_be_deleted_while_pairs_are_read(connect, count):
    """Each time the second of two that are alike: in the end there are none."""
    db, rng = connect(), np.random.default_rng(16)
    given(db, clustered(rng, count, 16))
    gone = set()
    for a, b, _ in db.execute(ALL, (0.97,)):
        if a not in gone and b not in gone:
            db.execute("DELETE FROM t WHERE rowid = ?", (b,))
            gone.add(b)
    assert gone
    assert db.execute(ALL, (0.97,)).fetchall() == []
    db.execute("INSERT INTO t(t) VALUES ('integrity-check')")


def test_a_slot_may_be_another_row_s_while_pairs_are_read(connect):
    db, rng = connect(), np.random.default_rng(25)
    vectors = clustered(rng, 600, 16)
    vectors[1] = vectors[0]
    given(db, vectors)
    got = []
    for n, (a, b, _) in enumerate(db.execute(ALL, (0.9999,))):
        if n == 0:
            db.execute("DELETE FROM t WHERE rowid = 600")
            db.execute("INSERT INTO t(rowid, embedding) VALUES (5000, ?)", (vectors[589].tobytes(),))
            assert value(db, "SELECT row FROM t_passages WHERE slot = 599") == 5000
        got.append((a, b))
    assert (1, 2) in got and (590, 600) not in got


def test_optimize_and_inserts_while_pairs_are_read(connect):
    """Slots move, codes are made anew: pairs of rows that stay are all found, each once."""
    db, rng = connect(), np.random.default_rng(17)
    vectors = clustered(rng, 8_600, 16)
    given(db, vectors)
    db.execute("DELETE FROM t WHERE rowid % 41 = 0")
    a, b, _ = expected(*stored(db), 0.96 + 1e-9)
    wanted = set(zip(a.tolist(), b.tolist()))
    got = []
    for n, pair in enumerate(db.execute(ALL, (0.96,))):
        got.append(pair)
        if n % 200 == 0:
            db.execute("INSERT INTO t(rowid, embedding) VALUES (?, ?)", (20_000 + n, rng.standard_normal(16).astype("<f4").tobytes()))
        if n in (300, 600):
            db.execute("INSERT INTO t(t) VALUES ('optimize')")
    keys = [(a, b) for a, b, _ in got]
    assert len(keys) == len(set(keys)) and len(keys) > 800
    assert wanted <= set(keys)


def test_a_statement_sees_one_state(connect, tmp_path):
    """Another connection commits while pairs are being read."""
    file = tmp_path / "i.db"
    db, other = connect(database=file), connect(database=file)
    db.execute("PRAGMA journal_mode = wal")
    rng = np.random.default_rng(18)
    vectors = clustered(rng, 8_400, 16)
    given(db, vectors)
    wanted = db.execute(ALL, (0.97,)).fetchall()
    got = []
    for n, pair in enumerate(db.execute(ALL, (0.97,))):
        got.append(pair)
        if n == 3:
            other.execute("DELETE FROM t WHERE rowid > 4000")
            other.execute("INSERT INTO t(t) VALUES ('optimize')")
    assert got == wanted
    assert max(b for _, b, _ in db.execute(ALL, (0.97,))) <= 4000


def test_an_attached_index(connect, tmp_path):
    db, rng = connect(), np.random.default_rng(19)
    db.execute("ATTACH ? AS other", (str(tmp_path / "other.db"),))
    db.execute("CREATE VIRTUAL TABLE other.\"my t\" USING bge(body, content='')")
    for row, vector in enumerate(clustered(rng, 50, 8), 1):
        db.execute('INSERT INTO "my t"(rowid, embedding) VALUES (?, ?)', (row, vector.tobytes()))
    db.execute("CREATE VIRTUAL TABLE t USING bge(body, content='')")
    pairs = [db.execute("SELECT * FROM bge_pairs(?, 0.5)", (name,)).fetchall()
             for name in ('other."my t"', "my t", '"MY T"', "OTHER.[my t]")]
    assert pairs[0] and all(found == pairs[0] for found in pairs)
    assert db.execute("SELECT * FROM bge_pairs('t', -1)").fetchall() == []


def test_the_index_may_come_from_a_table(connect):
    db = connect()
    given(db, np.eye(2, 4, dtype="<f4"))
    db.execute("CREATE TABLE asked(name, least); INSERT INTO asked VALUES ('t', -1), ('t', 0.5)")
    assert db.execute("SELECT least, a, b FROM asked, bge_pairs(asked.name, asked.least)").fetchall() == [(-1, 1, 2)]
    db.execute("CREATE TABLE names(id INTEGER PRIMARY KEY, name); INSERT INTO names VALUES (1, 'one'), (2, 'two')")
    joined = "SELECT x.name, y.name FROM bge_pairs('t', -1) AS p {0} names AS x ON x.id = p.a {0} names AS y ON y.id = p.b"
    for join in ("JOIN", "LEFT JOIN"):
        assert db.execute(joined.format(join)).fetchall() == [("one", "two")]
    assert db.execute("SELECT name, b FROM names LEFT JOIN bge_pairs('t', -1) AS p ON p.a = names.id ORDER BY 1").fetchall() == \
        [("one", 2), ("two", None)]


# ---- stopping, bad input ----------------------------------------------------------------------------


@pytest.mark.parametrize("least", [-1, 0.9999])
def test_it_can_be_interrupted(connect, least):
    db, rng = connect(), np.random.default_rng(20)
    given(db, clustered(rng, 30_000, 64))
    timer = threading.Timer(0.2, db.interrupt)
    begun = time.perf_counter()
    timer.start()
    with pytest.raises(apsw.InterruptError):
        value(db, "SELECT count(*), max(score) FROM bge_pairs('t', ?), (VALUES (1), (2), (3), (4))", least)
    assert time.perf_counter() - begun < 2
    assert db.execute("SELECT count(*) FROM (SELECT 1 FROM bge_pairs('t', 0.5) LIMIT 5)").fetchall() == [(5,)]


def test_it_is_interrupted_between_pairs_that_are_far_apart(connect):
    """No pair comes, so that SQLite itself has nothing to ask between."""
    db, rng = connect(), np.random.default_rng(24)
    given(db, rng.standard_normal((30_000, 96)).astype("<f4"))

    def seconds():
        begun = time.perf_counter()
        try:
            assert db.execute(ALL, (1,)).fetchall() == []
        except apsw.InterruptError:
            return time.perf_counter() - begun, True
        return time.perf_counter() - begun, False
    whole, _ = seconds()
    threading.Timer(whole / 6, db.interrupt).start()
    part, interrupted = seconds()
    assert interrupted and part < 0.7 * whole, (part, whole)


def test_rows_stream(connect):
    """The first pairs of very many come before the others are found."""
    db, rng = connect(), np.random.default_rng(21)
    given(db, clustered(rng, 30_000, 64))
    begun = time.perf_counter()
    assert len(db.execute(f"{ALL} LIMIT 5", (-1,)).fetchall()) == 5
    assert time.perf_counter() - begun < 2


BAD = {
    "'nothing', 0.9": (apsw.SQLError, "there is no index 'nothing'"),
    "'plain', 0.9": (apsw.SQLError, "'plain' is not a semantic index"),
    "'words', 0.9": (apsw.SQLError, "'words' is not a semantic index"),
    "'', 0.9": (apsw.SQLError, "'' is not the name of an index, expected name or schema.name"),
    "NULL, 0.9": (apsw.MismatchError, "argument 1 is NULL, expected the name of an index"),
    "7, 0.9": (apsw.MismatchError, "argument 1 is an integer, expected the name of an index"),
    "x'74', 0.9": (apsw.MismatchError, "argument 1 is a BLOB, expected the name of an index"),
    "'t'": (apsw.SQLError, r"argument 2 is missing; it is called as bge_pairs\(index_name, min_score\)"),
    "'t', NULL": (apsw.MismatchError, "argument 2 is NULL, expected a cosine from -1 to 1"),
    "'t', 1e999 - 1e999": (apsw.MismatchError, "argument 2 is NULL, expected a cosine"),
    "'t', 1e999": (apsw.SQLError, "argument 2 is inf, expected a cosine from -1 to 1"),
    "'t', 1.001": (apsw.SQLError, "argument 2 is 1.001, expected a cosine"),
    "'t', -2": (apsw.SQLError, "argument 2 is -2, expected a cosine"),
    "'t', 95": (apsw.SQLError, "argument 2 is 95, expected a cosine from -1 to 1, such as 0.95"),
    "'t', '0.9'": (apsw.MismatchError, "argument 2 is text, expected a cosine"),
    "'t', x'00'": (apsw.MismatchError, "argument 2 is a BLOB, expected a cosine"),
}


@pytest.mark.parametrize("arguments", list(BAD))
def test_bad_input(connect, arguments):
    db, (kind, message) = connect(), BAD[arguments]
    given(db, np.eye(3, 4, dtype="<f4"))
    db.execute("CREATE TABLE plain(id); CREATE VIRTUAL TABLE words USING fts5(body)")
    with pytest.raises(kind, match="bge_pairs: " + message):
        db.execute(f"SELECT * FROM bge_pairs({arguments})").fetchall()
    assert value(db, "SELECT count(*) FROM bge_pairs('t', 0)") == 3


def test_without_arguments(db):
    assert "argument 1 is missing" in str(failure(db, "SELECT * FROM bge_pairs"))
    assert "too many arguments" in str(failure(db, "SELECT * FROM bge_pairs('t', 0.5, 3)"))


def test_never_in_a_view(connect):
    db = connect()
    given(db, np.eye(3, 4, dtype="<f4"))
    db.execute("CREATE VIEW v AS SELECT * FROM bge_pairs('t', 0)")
    assert "unsafe use of virtual table" in str(failure(db, "SELECT * FROM v"))


def test_damage_is_named(connect):
    db, rng = connect(), np.random.default_rng(22)
    given(db, clustered(rng, 8_300, 8))
    db.execute("UPDATE t_passages SET vector = x'00' WHERE slot = 5")
    error = failure(db, "SELECT count(*) FROM bge_pairs('t', 0)")
    assert isinstance(error, apsw.CorruptError)
    assert "bge_pairs: t: the index is damaged" in str(error) and "rebuild" in str(error)
    db.execute("DELETE FROM t_codes WHERE chunk = 2")
    assert "chunk 2 of the codes is missing" in str(failure(db, "SELECT count(*) FROM bge_pairs('t', 0)"))


def test_reading_never_writes(connect, tmp_path):
    file = tmp_path / "i.db"
    db = connect(database=file)
    given(db, np.eye(3, 4, dtype="<f4"))
    db.close()
    before = file.read_bytes()
    again = connect(database=file)
    again.execute("PRAGMA query_only = 1")
    assert len(again.execute(ALL, (-1,)).fetchall()) == 3
    assert file.read_bytes() == before


def test_every_host(any_host):
    made = ("CREATE VIRTUAL TABLE t USING bge(body, content='')",
            "INSERT INTO t(rowid, embedding) VALUES (1, bge_from_json('[1, 0]')), (2, bge_from_json('[3, 0]')), "
            "(3, bge_from_json('[0, 1]'))")
    assert any_host.rows(*made, "SELECT a, b, score FROM bge_pairs('t', 0.5) WHERE a <= 2") == [[1, 2, 1.0]]
    assert any_host.rows(*made, "SELECT a, b FROM bge_pairs('t', 0) WHERE a BETWEEN 1 AND 1 ORDER BY b") == [[1, 2], [1, 3]]
    descending = "SELECT a, b FROM bge_pairs('t', 0) WHERE a IN (2, 1) AND b = 3 ORDER BY a DESC"
    assert any_host.rows(*made, descending) == [[2, 3], [1, 3]]
