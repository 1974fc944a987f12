"""Random rankings against the same stages in plain Python over materialised lists (see rankings.py).

The test prints its seed; BGE_TEST_SEED=n repeats one.
"""

import os
import random

import pytest
from oracle import sentence
from rankings import NAMES, RERANKER, Library, Ranking
from support import FIXTURES, TINY, stopped_after, value

QUERIES = int(os.environ.get("BGE_TEST_QUERIES", 400))
COLUMNS = "rowid, rank, by_meaning, by_words, bm25, rerank"


@pytest.fixture(autouse=True)
def rerankers_are_found(monkeypatch):
    monkeypatch.setenv("BGE_MODELS", f"{FIXTURES}{os.pathsep}{FIXTURES / 'rerankers'}")


def seeded(text):
    seed = os.environ.get("BGE_TEST_SEED", text)
    print(f"BGE_TEST_SEED={seed}")
    return random.Random(seed)


def question_of(chance, db):
    kind = chance.random()
    if kind < 0.55:
        return sentence(chance, 1, 6)
    if kind < 0.75:
        return f"{sentence(chance, 0, 3)} {chance.choice(NAMES)}".strip()
    return chance.choice(["the printer (or) \"invoice\" AND -page*", "", " \n", "?!", "zzz", "e-17", "Device DEVICE device",
                          value(db, "SELECT bge_embed_query('how do i reset it', ?)", TINY)])


def filters_of(chance, library, distances):
    """SQL, and what it lets pass: terms that are the index's own and constant."""
    some = chance.sample(sorted(library.rows), 25)
    cut = chance.choice(distances) if distances else 0.5
    return chance.choice([
        ("", lambda rowid, row, distance: True),
        ("", lambda rowid, row, distance: True),
        (" AND lang = 'en'", lambda rowid, row, distance: row.lang == "en"),
        (" AND lang IS NULL", lambda rowid, row, distance: row.lang is None),
        (" AND lang LIKE 'd%'", lambda rowid, row, distance: row.lang is not None and row.lang.startswith("d")),
        (" AND n > 2", lambda rowid, row, distance: row.n is not None and row.n > 2),
        (" AND n IN (1, 4)", lambda rowid, row, distance: row.n in (1, 4)),
        (" AND n BETWEEN 2 AND 4 AND lang = 'de'", lambda rowid, row, distance: row.n in (2, 3, 4) and row.lang == "de"),
        (f" AND rowid IN ({', '.join(map(str, some))})", lambda rowid, row, distance: rowid in some),
        (f" AND rowid >= {some[0]}", lambda rowid, row, distance: rowid >= some[0]),
        (f" AND distance <= {cut!r}", lambda rowid, row, distance: distance is not None and distance <= cut),
        (" AND rowid = 9999", lambda rowid, row, distance: rowid == 9999),
    ])


def same(got, wanted, shown):
    assert [row[0] for row in got] == [place.rowid for place in wanted], f"{shown}\n{got[:12]}\n{wanted[:12]}"
    for (rowid, rank, by_meaning, by_words, bm25, rerank), place in zip(got, wanted):
        here = f"{shown}\nrow {rowid}: {(rank, by_meaning, by_words, bm25, rerank)}\n{place}"
        assert rank == pytest.approx(place.rank, abs=1e-9, rel=1e-12), here
        assert (by_meaning, by_words, rerank) == (place.by_meaning, place.by_words, place.rerank), here
        # Behind the candidates nobody looks for words.
        assert bm25 == (None if place.bm25 is None else pytest.approx(place.bm25, rel=1e-9)), here


def logits_of(library, question, ranking, filters, k):
    """What the reranker said of each row, each looked at alone as well."""
    cut = f" AND k = {k}" if k else ""
    sql = f"SELECT rowid, rerank FROM t WHERE t MATCH ? AND rank MATCH ?{filters}{cut}"
    said = {rowid: logit for rowid, logit in library.db.execute(sql, (question, ranking.text)) if logit is not None}
    texts = {row.rowid: row.passage for row in library.nearest(question)}
    for rowid, logit in said.items():
        text = texts.get(rowid) if texts.get(rowid) is not None else library.rows[rowid].joined
        alone = value(library.db, "SELECT bge_rerank(?, ?, ?)", question, text, RERANKER)
        assert logit == pytest.approx(alone, abs=5e-5), (rowid, text)
    return said


def compare(library, chance, ranking):
    db, question = library.db, question_of(chance, library.db)
    if isinstance(question, bytes):
        ranking = Ranking("meaning", stages=[s for s in ranking.stages if s[0] != "rerank"])
        ranking.text = ranking.written(chance)
    distances = [row.distance for row in library.nearest(question)]
    filters, keep = filters_of(chance, library, distances)
    k = chance.choice([None, None, 1, 5, 12, 70])
    # The logits of rows that k cuts off can be seen without it only: the depth is the same where it is given.
    if k and any(stage[0] == "rerank" for stage in ranking.stages):
        k = None
    shown = f"{ranking.text!r} of {question!r}{filters} k={k}"
    logits = logits_of(library, question, ranking, filters, k) if any(s[0] == "rerank" for s in ranking.stages) else {}
    wanted = ranking.answer(library, question, keep, k, logits)
    cut = f" AND k = {k}" if k else ""
    ordered = chance.choice([" ORDER BY rank", " ORDER BY rank", ""])
    sql = f"SELECT {COLUMNS} FROM t WHERE t MATCH :q AND rank MATCH :r{filters}{cut}{ordered}"
    bound = {"q": question, "r": ranking.text}
    with stopped_after(db, 20):
        got = list(db.execute(sql, bound))
        same(got, wanted, shown)
        ranks = [row[1] for row in got]
        assert all(a <= b for a, b in zip(ranks, ranks[1:])), shown
        limit, offset = chance.randint(1, 12), chance.choice([0, 0, 3])
        some = list(db.execute(f"{sql} LIMIT {limit} OFFSET {offset}", bound))
        same(some, wanted[offset:offset + limit], f"{shown} LIMIT {limit} OFFSET {offset}")
        if chance.random() < 0.2:
            # The same as the default, which a query without a ranking has.
            db.execute("INSERT INTO t(t, rank) VALUES ('rank', ?)", (ranking.text,))
            same(list(db.execute(sql.replace(" AND rank MATCH :r", ""), {"q": question})), wanted, f"{shown} by default")
            db.execute("INSERT INTO t(t, rank) VALUES ('rank', ?)", (None,))
        if chance.random() < 0.2:
            later = "SELECT t.rowid, d.n FROM t JOIN docs AS d ON d.id = t.rowid" if library.over else "SELECT rowid, n FROM t"
            later += f" WHERE t MATCH :q AND rank MATCH :r{filters.replace(' rowid', ' t.rowid').replace(' n ', ' t.n ').replace(' lang', ' t.lang')}{cut}"
            got = list(db.execute(f"{later} ORDER BY rank", bound))
            assert got == [(place.rowid, library.rows[place.rowid].n) for place in wanted], f"{shown} in a join"
        if chance.random() < 0.1:
            got = list(db.execute(sql.replace(COLUMNS, "rank, rowid").replace(ordered, "") + " ORDER BY rank DESC, rowid DESC", bound))
            assert got == sorted(got, reverse=True) and sorted(row for _, row in got) == sorted(place.rowid for place in wanted), f"{shown} DESC"
            got = list(db.execute(sql.replace(COLUMNS, "rank, rowid").replace(ordered, "") + " ORDER BY rank, rowid", bound))
            assert got == sorted(got) and [row for _, row in got] == [place.rowid for place in wanted], f"{shown} by rank and rowid"
    return len(wanted)


@pytest.mark.parametrize("kind", ["over f32 on", "over f32 docs_fts", "own f32 on", "over f16 on", "own int8 on", "over int8 docs_fts",
                                  "over f32 none", "over f32 on not-embedded"])
def test_random_rankings(db, kind):
    chance = seeded(f"rank {kind}")
    over, storage, words, *late = kind.split()
    words = None if words == "none" else words
    # Without catchup a query embeds no pending rows: words alone find them.
    options = ", chunk_tokens=16, overlap=4" + (", catchup=0" if late else "")
    library = Library(db, chance, over=over == "over", words=words, storage=storage, options=options)
    assert value(db, "SELECT count(*) > count(DISTINCT row) FROM t_passages"), "some rows have several passages"
    for rowid in range(500, 510) if late else ():
        library.insert(rowid)
    found = 0
    for number in range(max(20, QUERIES // 14)):
        if number % 7 == 3:
            library.write()
        if number % 14 == 10 and not late:
            value(db, "SELECT bge_sync('t')")
        found += compare(library, chance, Ranking.random(chance, words=words is not None)) > 0
    assert found > QUERIES // 30
    value(db, "SELECT bge_sync('t')")
    db.execute("INSERT INTO t(t) VALUES ('integrity-check')")
