"""What an index with rankings must say: lists that stand as they are, and the stages of a ranking in plain Python.

`Library` makes documents, an index `t` over them, and what is compared with: the rows as a dict; their words in an
FTS5 table of another connection, which knows nothing of the extension; their distances and vectors as the index
gives them without a ranking (which test_index_random.py compares with brute force), beside numpy. `Ranking` is
a random one, with the text that says it.
"""

import json
import math
import re
from dataclasses import dataclass, field

import apsw
import numpy
from oracle import sentence
from support import TINY, value

RERANKER = "tiny-reranker"
NOW = 1_700_000_000
DAY = 86_400
# Values of a column of times, with the Unix seconds that they say.
TIMES = [
    (None, None), (NOW, NOW), (NOW - 40 * DAY, NOW - 40 * DAY), (NOW - 0.5, NOW - 0.5), (NOW + 90 * DAY, NOW + 90 * DAY), (0, 0),
    ("2023-11-14", 1_699_920_000), ("2023-11-14 22:13", NOW - 20), ("2023-11-14T22:13:20Z", NOW),
    ("2023-10-05 23:13:20.5+01:00", NOW - 40 * DAY + 0.5), ("1969-07-20", -14_256_000), ("9999-12-31", 253_402_214_400),
]
NAMES = ["E-17", "E-18", "v2.3.1", "std::fs", "foo_bar", "3.40.1", "a/b"]


@dataclass
class Document:
    title: object
    body: object
    lang: object
    n: object
    made: object
    time: object

    @property
    def values(self):
        return (self.title, self.body, self.lang, self.n, self.made)

    @property
    def joined(self):
        return "\n".join(text for text in (self.title, self.body) if text is not None)


@dataclass
class Near:
    """A row of the list by meaning."""
    rowid: int
    distance: float
    passage: object
    vector: bytes


@dataclass
class Place:
    """A row of an answer."""
    rowid: int
    relevance: float
    by_meaning: object = None
    by_words: object = None
    bm25: object = None
    rerank: object = None
    rank: float = 0.0


class Library:
    COLUMNS = "title, body, lang, n, made"

    def __init__(self, db, chance, count=60, over=True, words="on", storage="f32", options=""):
        """over: the texts are in a table `docs`, else in the index. words: as the option; 'docs_fts' is made here."""
        self.db, self.chance, self.over, self.rows = db, chance, over, {}
        self.tokenize = "unicode61" if words == "docs_fts" else "porter unicode61"
        declared = f"title, body, lang TEXT UNINDEXED, n INTEGER UNINDEXED, made UNINDEXED, model='{TINY}', storage={storage}"
        if over:
            db.execute("CREATE TABLE docs(id INTEGER PRIMARY KEY, title, body, lang TEXT, n INTEGER, made)")
            declared += ", content='docs'"
        if words == "docs_fts":
            self.own_words()
        if words:
            declared += f", words='{words}'"
        db.execute(f"CREATE VIRTUAL TABLE t USING bge({declared}{options})")
        self.target = "docs(id" if over else "t(rowid"
        for rowid in chance.sample(range(-20, 400), count):
            self.insert(rowid)
        value(db, "SELECT bge_sync('t')")

    def own_words(self):
        """An FTS5 table of the user's, kept in step as FTS5's documents say."""
        self.db.execute("""
            CREATE VIRTUAL TABLE docs_fts USING fts5(title, body, content='docs', content_rowid='id');
            CREATE TRIGGER f1 AFTER INSERT ON docs BEGIN INSERT INTO docs_fts(rowid, title, body) VALUES (new.id, new.title, new.body); END;
            CREATE TRIGGER f2 AFTER DELETE ON docs BEGIN
              INSERT INTO docs_fts(docs_fts, rowid, title, body) VALUES ('delete', old.id, old.title, old.body); END;
            CREATE TRIGGER f3 AFTER UPDATE ON docs BEGIN
              INSERT INTO docs_fts(docs_fts, rowid, title, body) VALUES ('delete', old.id, old.title, old.body);
              INSERT INTO docs_fts(rowid, title, body) VALUES (new.id, new.title, new.body); END""")

    # --- writes

    def text(self, shortest=1, longest=7):
        chance = self.chance
        if chance.random() < 0.12:
            return chance.choice([None, "", "a", "invoice"])
        words = sentence(chance, shortest, longest)
        if chance.random() < 0.4:
            # Some names are in many rows.
            words += f" {chance.choice(NAMES[:chance.randint(1, len(NAMES))])}"
        return words

    def document(self):
        chance = self.chance
        made, time = chance.choice(TIMES)
        # A quarter is long enough for several passages.
        body = self.text() if chance.random() < 0.75 else sentence(chance, 30, 60)
        if self.rows and chance.random() < 0.1:
            body = chance.choice(list(self.rows.values())).body
        return Document(self.text(1, 3), body, chance.choice(["en", "de", "", None]), chance.choice([1, 2, 3, 4, 5, None]), made, time)

    def insert(self, rowid):
        document = self.document()
        self.db.execute(f"INSERT INTO {self.target}, {self.COLUMNS}) VALUES (?, ?, ?, ?, ?, ?)", (rowid, *document.values))
        self.rows[rowid] = document

    def write(self):
        """A few writes, which leave rows pending."""
        table, key = ("docs", "id") if self.over else ("t", "rowid")
        for _ in range(self.chance.randint(1, 6)):
            rowid, what = self.chance.choice(list(self.rows)), self.chance.random()
            if what < 0.4:
                self.insert(max(self.rows) + 1)
            elif what < 0.7:
                document = self.document()
                self.db.execute(f"UPDATE {table} SET (title, body, lang, n, made) = (?, ?, ?, ?, ?) WHERE {key} = ?",
                                (*document.values, rowid))
                self.rows[rowid] = document
            elif len(self.rows) > 30:
                self.db.execute(f"DELETE FROM {table} WHERE {key} = ?", (rowid,))
                del self.rows[rowid]

    # --- lists

    def nearest(self, question):
        """All rows by distance, checked by numpy beside the vectors that are given out."""
        sql = "SELECT rowid, distance, score, passage, embedding FROM t WHERE t MATCH ? AND rank MATCH 'meaning' ORDER BY distance"
        rows = list(self.db.execute(sql, (question,)))
        if question is None or not rows:
            return []
        query = question if isinstance(question, bytes) else value(self.db, "SELECT bge_embed_query(?, ?)", question, TINY)
        query, vectors = numbers(query), [numbers(row[4]) for row in rows]
        for (rowid, distance, score, *_), vector in zip(rows, vectors):
            cosine = vector @ query / numpy.linalg.norm(vector) / numpy.linalg.norm(query)
            assert abs(cosine - score) < 1e-5 and distance == 1 - score, rowid
        assert {row[0] for row in rows} <= set(self.rows)
        rows.sort(key=lambda row: (row[1], row[0]))
        return [Near(rowid, distance, passage, vector) for rowid, distance, _, passage, vector in rows]

    def worded(self, runs):
        """rowid -> bm25 of the rows that hold one of the runs."""
        if not runs:
            return {}
        other = apsw.Connection(":memory:")
        other.execute(f"CREATE VIRTUAL TABLE f USING fts5(title, body, tokenize='{self.tokenize}')")
        other.executemany("INSERT INTO f(rowid, title, body) VALUES (?, ?, ?)",
                          [(rowid, row.title, row.body) for rowid, row in self.rows.items()])
        phrases = " OR ".join('"' + run.replace('"', '""') + '"' for run in runs)
        return dict(other.execute("SELECT rowid, bm25(f) FROM f WHERE f MATCH ?", (phrases,)))


def numbers(vector):
    return numpy.frombuffer(vector, numpy.float32).astype(numpy.float64)


def runs_of(question):
    """The runs of a question: between blanks, with a letter or a digit, each once whatever its case."""
    if not isinstance(question, str):
        return []
    runs = {}
    for run in question.split():
        if any(c.isalnum() for c in run):
            runs.setdefault(run.lower(), run)
    return list(runs.values())


def names_of(runs):
    """Runs that are names, and their share of the characters."""
    names = [run for run in runs if len(runs) == 1 or re.search(r"\d|_|\w[./:+@#\\]\w", run)]
    return names, sum(map(len, names)) / max(1, sum(map(len, runs)))


@dataclass
class Ranking:
    """A ranking: its first stage, the others as tuples."""
    first: str
    weight: object = None
    depth: object = None
    stages: list = field(default_factory=list)
    text: str = ""

    @staticmethod
    def random(chance, words=True):
        first = chance.choice(["meaning", "words", "hybrid", "hybrid"] if words else ["meaning"])
        depth = chance.choice([None, None, 1, 3, 10, 25, 1000])
        weight = chance.choice([None, None, 0, 0.05, 0.5, 1]) if first == "hybrid" else None
        stages = []
        for _ in range(chance.choice([0, 0, 1, 1, 2, 3])):
            name = chance.choice(["rerank", "mmr", "decay"])
            stages.append({
                "rerank": lambda: ("rerank", chance.choice([1, 4, 20, 200])),
                "mmr": lambda: ("mmr", chance.choice([0, 0.3, 0.7, 1]), chance.choice([1, 5, 30, 100])),
                "decay": lambda: ("decay", chance.choice([0.5, 30, 400]) * DAY),
            }[name]())
        made = Ranking(first, weight, depth, stages)
        made.text = made.written(chance)
        return made

    def written(self, chance):
        """One of the texts that say it."""
        given = [("weight", self.weight), ("depth", self.depth)]
        given = [f"{chance.choice([name, name.upper()])}{chance.choice(['=', ' = '])}{x}" for name, x in given if x is not None]
        first = self.first if chance.random() < 0.8 else self.first.upper()
        parts = [first + (f"({', '.join(given)})" if given or chance.random() < 0.1 else "")]
        if self.first == "meaning" and not given and self.stages and chance.random() < 0.7:
            parts = []
        for name, *arguments in self.stages:
            parts.append({
                "rerank": lambda depth: chance.choice([f"rerank('{RERANKER}', {depth})", f"rerank( {RERANKER},depth={depth})"]),
                "mmr": lambda share, depth: chance.choice([f"mmr({share}, {depth})", f"MMR(depth = {depth}, lambda = {share})"]),
                "decay": lambda half: chance.choice([
                    f"decay(made, {half / DAY}, {NOW})", f"decay('made', '{half} seconds', '2023-11-14 22:13:20')",
                    f"decay(\"MADE\", {half / DAY} days, now = 2023-11-14T22:13:20Z)"]),
            }[name](*arguments))
        return chance.choice([", ", " | ", " ", ",", "\n"]).join(parts)

    @property
    def is_plain(self):
        return self.first == "meaning" and not self.stages

    # --- the stages

    def answer(self, library, question, keep=lambda rowid, row, distance: True, k=None, logits=None):
        """The rows, the best first. keep: what the filters let pass; logits: rowid -> what the reranker said."""
        near = [row for row in library.nearest(question) if keep(row.rowid, library.rows[row.rowid], row.distance)]
        by_rowid = {row.rowid: row for row in near}
        places, scale, rest = self.candidates(library, question, near, by_rowid, keep, k or 0)
        for name, *arguments in self.stages:
            if name == "rerank":
                places = reranked(places, arguments[0], logits or {})
                scale = "logit"
            elif name == "mmr":
                places = spread(library.db, places, scale, by_rowid, *arguments)
            else:
                places = aged(library, places, scale, arguments[0])
                scale = "cosine"
        for place in places:
            place.rank = 1 - place.relevance if scale == "cosine" else -place.relevance
        last = None
        for place in places + rest:
            own = place.rank
            if last and not self.is_plain:
                # Equals in the order of their rowids stay equal.
                is_tie = own == last[1] and place.rowid > last[0]
                place.rank = last[2] if is_tie else max(own, math.nextafter(last[2], math.inf))
            last = (place.rowid, own, place.rank)
        return (places + rest)[:k]

    def candidates(self, library, question, near, by_rowid, keep, k):
        deepest = max([0] + [500 if s[0] == "decay" else s[-1] for s in self.stages])
        runs = runs_of(question)
        bm25 = library.worded(runs) if self.first != "meaning" else {}
        bm25 = {rowid: score for rowid, score in bm25.items()
                if keep(rowid, library.rows[rowid], by_rowid[rowid].distance if rowid in by_rowid else None)}
        listed = sorted(bm25, key=lambda rowid: (bm25[rowid], rowid))
        if self.first == "words":
            whole = listed if self.depth is None else listed[:max(self.depth, k)]
            return [Place(rowid, -bm25[rowid], by_words=n + 1, bm25=bm25[rowid]) for n, rowid in enumerate(whole)], "words", []
        default = max(100, deepest) if self.first == "hybrid" else deepest
        depth = max(default if self.depth is None else self.depth, k)
        places = [Place(row.rowid, 1 - row.distance, by_meaning=n + 1) for n, row in enumerate(near[:depth])]
        if self.first == "hybrid":
            places = self.fused(library, runs, near, by_rowid, bm25, listed, depth, keep)
        there = {place.rowid for place in places}
        rest = [Place(row.rowid, 0, by_meaning=n + 1, rank=row.distance) for n, row in enumerate(near) if row.rowid not in there]
        return places, "cosine", rest

    def fused(self, library, runs, near, by_rowid, bm25, listed, depth, keep):
        names, share = names_of(runs)
        n_of = {rowid: -score for rowid, score in library.worded(names).items() if rowid in bm25}
        named = sorted(n_of, key=lambda rowid: (-n_of[rowid], rowid))
        usual = n_of[named[4]] if len(named) >= 5 else 0
        far = 1 - near[:depth][-1].distance if near else 0.0
        by_meaning = {row.rowid: n + 1 for n, row in enumerate(near[:depth])}
        by_words = {rowid: n + 1 for n, rowid in enumerate(listed[:depth])}
        weight = 0.1 if self.weight is None else self.weight
        places = []
        for rowid in {**by_meaning, **by_words, **dict.fromkeys(named[:10])}:
            cosine = 1 - by_rowid[rowid].distance if rowid in by_rowid else far
            b, n = -bm25.get(rowid, -0.0), n_of.get(rowid, 0)
            score = cosine + weight * b / (b + 20) + 1.5 * math.sqrt(share) * max(0, n - usual) / (n + 10)
            places.append(Place(rowid, score, by_meaning.get(rowid), by_words.get(rowid), bm25.get(rowid)))
        return sorted(places, key=lambda place: (-place.relevance, place.rowid))


def comparable(scale, relevance):
    if scale == "cosine":
        return relevance
    return relevance / (relevance + 10) if scale == "words" else 1 / (1 + math.exp(-relevance))


def reranked(places, depth, logits):
    """The first ones by their logits; who has none, and who stands behind them, is as good as the worst."""
    head = places[:depth]
    scored = [place for place in head if logits.get(place.rowid) is not None]
    for place in scored:
        place.relevance = place.rerank = logits[place.rowid]
    scored.sort(key=lambda place: -place.relevance)
    others = [place for place in head if place not in scored] + places[depth:]
    for place in others:
        place.relevance = scored[-1].relevance if scored else 0.0
    return scored + others


def spread(db, places, scale, by_rowid, share, depth):
    """By the formula, each cosine looked for anew."""
    left, behind, chosen = places[:depth], places[depth:], []
    vectors = {p.rowid: by_rowid[p.rowid].vector for p in left if p.rowid in by_rowid}
    cosines = {(a, b): c for a, b, c in db.execute(
        "WITH v AS MATERIALIZED (SELECT key AS id, unhex(value) AS e FROM json_each(?)) SELECT +a.id, +b.id, bge_cosine(a.e, b.e) FROM v AS a, v AS b",
        (json.dumps({str(rowid): vector.hex() for rowid, vector in vectors.items()}),))}
    cosines = {(int(a), int(b)): c for (a, b), c in cosines.items()}

    def gain(place):
        # Who has no vector is like anything, and anything is unlike who has none.
        near = [cosines[place.rowid, other.rowid] for other in chosen if (place.rowid, other.rowid) in cosines]
        likeness = (max(near, default=0.0) if place.rowid in vectors else 1.0) if chosen else 0.0
        return share * comparable(scale, place.relevance) - (1 - share) * likeness

    while left:
        best = max(left, key=gain)  # of equals the first
        left.remove(best)
        chosen.append(best)
    return chosen + behind


def aged(library, places, scale, half_life):
    for place in places:
        time, relevance = library.rows[place.rowid].time, comparable(scale, place.relevance)
        if time is not None:
            left = 0.5 ** (max(0.0, NOW - time) / half_life)
            relevance -= abs(relevance) * (1 - left)
        place.relevance = relevance
    return sorted(places, key=lambda place: -place.relevance)


