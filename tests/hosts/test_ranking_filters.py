"""Filters that few of very many worded rows pass: those are left out by what the index knows of them, as far as it is so still."""

import pytest
from support import TINY, value

ROWS = 4_000
RARE = "lang = 'rare' AND n BETWEEN 0 AND 3500"


@pytest.fixture(params=["docs", "seen", "own"])
def db(db, request):
    """A word that all rows have. Every hundredth is rare; after the last sync some became so, some no longer are, some are new or gone."""
    db.execute("CREATE TABLE docs(id INTEGER PRIMARY KEY, body TEXT, lang TEXT, n INTEGER); CREATE VIEW seen AS SELECT * FROM docs")
    over = {"docs": "content='docs', words=on", "seen": "content='seen', content_rowid='id', words='f'", "own": "words=on"}[request.param]
    db.execute("CREATE VIRTUAL TABLE f USING fts5(body, content='docs', content_rowid='id', tokenize='porter unicode61')")
    db.execute(f"CREATE VIRTUAL TABLE t USING bge(body, lang TEXT UNINDEXED, n INTEGER UNINDEXED, {over}, model='{TINY}', catchup=0)")
    table, key = ("t", "rowid") if request.param == "own" else ("docs", "id")
    with db:
        db.executemany(f"INSERT INTO {table}({key}, body, lang, n) VALUES (?, ?, ?, ?)",
                       ((n, "page " * (n % 7) + "button", "rare" if n % 100 == 0 else "usual", n % 4000) for n in range(ROWS)))
    assert value(db, "SELECT bge_sync('t')") == ROWS
    with db:
        db.execute(f"UPDATE {table} SET lang = 'rare' WHERE {key} % 100 = 7 AND {key} < 1500")
        db.execute(f"UPDATE {table} SET lang = NULL WHERE {key} % 100 = 0 AND {key} > 2000")
        db.execute(f"DELETE FROM {table} WHERE {key} IN (100, 200)")
        db.executemany(f"INSERT INTO {table}({key}, body, lang, n) VALUES (?, 'page button', 'rare', 1)", ((n,) for n in (-5, ROWS + 5)))
    db.execute("INSERT INTO f(f) VALUES ('rebuild')")
    return db, table, key, request.param


@pytest.mark.parametrize("ranking", ["words", "words(20)", "hybrid(1, 5000)"])
def test_few_rows_that_pass_of_many_that_have_the_word(db, ranking):
    db, table, key, content = db
    wanted = [id for id, in db.execute(f"SELECT {key} FROM {table} WHERE {RARE} ORDER BY {key}")]
    assert len(wanted) == 36 and {7, -5, 300} < set(wanted) and not {100, 2100} & set(wanted)
    place = {id: n for n, (id,) in enumerate(
        db.execute("SELECT rowid FROM f WHERE f MATCH 'button' ORDER BY bm25(f), rowid" if content != "own" else
                   "SELECT rowid FROM t_words WHERE t_words MATCH 'button' ORDER BY bm25(t_words), rowid"))}
    assert len(place) == ROWS
    by_words = sorted(wanted, key=place.get)[:20 if "20" in ranking else None]
    sql = f"SELECT rowid, by_words FROM t WHERE t MATCH 'button' AND rank MATCH '{ranking}' AND {RARE}"
    for more in ("ORDER BY rank", "AND k = 10 ORDER BY rank"):
        got = list(db.execute(f"{sql} {more}"))
        if ranking.startswith("words"):
            assert got == [(id, n + 1) for n, id in enumerate(by_words)][:10 if "k" in more.split()[1] else None]
        else:
            assert {id for id, _ in got} <= set(wanted) and all(by_words[at - 1] == id for id, at in got)
    assert len(got) == 10


def test_a_further_term_of_order_by_tells_equals_apart(connect):
    db = connect()
    db.execute("CREATE TABLE docs(id INTEGER PRIMARY KEY, body, added)")
    db.executemany("INSERT INTO docs VALUES (?, ?, ?)", [(n, "valve" if n % 3 else "valve of a pump", 100 - n % 5) for n in range(1, 40)])
    db.execute(f"CREATE VIRTUAL TABLE t USING bge(body, added UNINDEXED, content='docs', words=on, model='{TINY}')")
    value(db, "SELECT bge_sync('t')")
    for ranking in ("words", "hybrid", "meaning"):
        got = list(db.execute("SELECT rank, -added, rowid FROM t WHERE t MATCH 'valve' AND rank MATCH ? ORDER BY rank, added DESC, rowid", (ranking,)))
        assert got == sorted(got) and len({rank for rank, *_ in got}) == 2 and len(got) == 39, ranking
    assert value(db, "SELECT count(*) FROM t WHERE t MATCH 'valve' AND rank MATCH 'words' AND rank = bm25") == 39
