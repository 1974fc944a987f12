"""Which ranking finds what: meaning, words, reciprocal rank fusion and hybrid, on graded questions and on exact names.

The graded questions are the Cranfield collection (1,400 abstracts, 225 questions; Cleverdon, 1967), which is
no part of this tree: --cranfield names its folder (docs.jsonl, queries.jsonl, qrels.tsv). The exact names are
those of benches/exact_names.py. Reciprocal rank fusion, which the library does not offer, is computed here; the recipe
is sql/hybrid-fts5.sql, the fusion for an index without words.

    .venv/bin/python benches/ranking.py [--cranfield FOLDER] [--library FILE] [--model NAME] [--fresh]
"""

import argparse
import json
import pathlib
import sys

import apsw

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "packages" / "python"))

from sqlite_bge.comparing import compare  # noqa: E402
from sqlite_bge.evaluating import Judged, judged, measure, ranker, read_judgements, read_questions  # noqa: E402
from sqlite_bge.indexes import Index  # noqa: E402

NAMES = ROOT / "benches" / "exact_names"
FILE = ROOT / "target" / "benches" / "ranking.db"
INDEX = "docs_bge"
FIRST = 100  # rows of each list that are fused
PLACE = 60  # the constant of reciprocal rank fusion (Cormack, Clarke and Büttcher, 2009)


def main():
    options = parser().parse_args()
    if (options.cranfield / "docs.jsonl").is_file():
        with (options.cranfield / "docs.jsonl").open(encoding="utf-8") as lines:
            docs = [(int(doc["id"]), doc["title"], doc["text"]) for doc in map(json.loads, lines)]
        db = database(options, "cranfield", docs)
        asked = judged(db, INDEX_OF_DOCS, read_questions(options.cranfield / "queries.jsonl"),
                       read_judgements(options.cranfield / "qrels.tsv"))
        show("Cranfield", db, asked)
        show("Cranfield, gain 2^grade - 1", db, exponential(asked))
    else:
        print(f"Cranfield is left out: {options.cranfield} has no docs.jsonl; --cranfield names another folder\n")
    passages = (NAMES / "passages.txt").read_text(encoding="utf-8").splitlines()
    db = database(options, "names", [(number, "", passage) for number, passage in enumerate(passages, 1)])
    questions, judgements = read_questions(NAMES / "questions.tsv"), read_judgements(NAMES / "judgements.qrels")
    for form in ("alone", "asked"):
        chosen = {name: text for name, text in questions.items() if f"-{form}-" in name}
        asked = judged(db, INDEX_OF_DOCS, chosen, {name: judgements[name] for name in chosen})
        show(f"exact names, {'alone' if form == 'alone' else 'in a sentence'}", db, asked, k=1)


INDEX_OF_DOCS = Index(INDEX, ["title", "body"], "docs", "id")


def parser():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--cranfield", type=pathlib.Path, default=ROOT.parent / "shared" / "cranfield", metavar="FOLDER")
    options.add_argument("--library", type=pathlib.Path, default=ROOT / "dist" / "libbge", metavar="FILE")
    options.add_argument("--model", default="bge-small-en-v1.5", metavar="NAME")
    options.add_argument("--tokenize", default="porter unicode61", metavar="TOKENIZER", help="of the words (porter unicode61)")
    options.add_argument("--fresh", action="store_true", help="make the indexes anew (some 3 minutes)")
    return options


def database(options, name, docs):
    """The index over `docs`, made once and kept."""
    file = FILE.with_name(f"{FILE.stem}-{name}-{options.model}-{options.tokenize.replace(' ', '-')}.db")
    if options.fresh:
        file.unlink(missing_ok=True)
    file.parent.mkdir(parents=True, exist_ok=True)
    db = apsw.Connection(str(file))
    db.enable_load_extension(True)
    db.load_extension(str(options.library), "sqlite3_bge_init")
    if not db.execute("SELECT 1 FROM sqlite_schema WHERE name = 'docs'").fetchall():
        with db:
            db.execute("CREATE TABLE docs(id INTEGER PRIMARY KEY, title TEXT, body TEXT)")
            db.executemany("INSERT INTO docs VALUES (?, ?, ?)", docs)
            db.execute(f"CREATE VIRTUAL TABLE {INDEX} USING bge(title, body, content='docs', model='{options.model}', "
                       f"words=on, words_tokenize='{options.tokenize}')")
    db.execute(f"SELECT bge_sync('{INDEX}')").fetchall()
    return db


def exponential(asked):
    """The same with the other usual gain, in which a grade of 4 is worth fifteen times a grade of 1."""
    grades = {name: {row: 2 ** grade - 1 for row, grade in graded.items()} for name, graded in asked.grades.items()}
    return Judged(asked.questions, grades, asked.left_out)


def rankers(db):
    meaning, words, hybrid = (ranker(db, INDEX_OF_DOCS, ranking) for ranking in ("meaning", "words", "hybrid"))
    return {"meaning": meaning, "words": words, "RRF": lambda question: fused(meaning(question)[:FIRST], words(question)[:FIRST]),
            "hybrid": hybrid, "recipe": recipe(db)}


def recipe(db):
    """The recipe as it stands, but for the rows that are measured; the words of the index are its FTS5 table."""
    text = (ROOT / "sql" / "hybrid-fts5.sql").read_text(encoding="utf-8")
    sql = text.replace("docs_fts", f"{INDEX}_words").replace("\nLIMIT 10;", f"\nLIMIT {FIRST};")
    return lambda question: [row[0] for row in db.execute(sql, {"question": question})]


def fused(*lists):
    """Reciprocal rank fusion of lists, the first of two equal rows being the one of the earlier list."""
    scores = {}
    for found in lists:
        for place, row in enumerate(found, 1):
            scores[row] = scores.get(row, 0) + 1 / (PLACE + place)
    return sorted(scores, key=scores.get, reverse=True)


def show(title, db, asked, k=10):
    found = measure(asked, rankers(db), k, progress=False)
    print(f"{title}: {len(asked.questions)} questions\n")
    print(f"| ranking | {'right row first' if k == 1 else 'nDCG@10'} | recall@100 | nDCG less that of meaning, 95 % |")
    print("|---|---|---|---|")
    for one in found:
        difference = compare(one.ndcg, found[0].ndcg)
        against = f"{difference.mean:+.3f} ({difference.low:+.3f} to {difference.high:+.3f})" if one is not found[0] else ""
        print(f"| {one.ranking} | {sum(one.ndcg) / len(one.ndcg):.4f} | {sum(one.recall) / len(one.recall):.3f} | {against} |")
    print(flush=True)


if __name__ == "__main__":
    main()
