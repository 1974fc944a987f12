"""The command `sqlite-bge`: download, models, info, index, replace, search, evaluate."""

from __future__ import annotations

import argparse
import csv
import json
import sys
from pathlib import Path

from . import __getattr__ as _attribute
from .catalog import DEFAULT_MODEL, CatalogError
from .catalog import models as catalogue
from .connecting import not_utf8, open_database
from .fetching import Problem, run
from .indexes import FIRST, MOST_ROWS, IndexProblem, find_index, quoted, search
from .loading import LoadingFailed, LoadingUnavailable, loadable_path
from .making import Wanted, create_index, replace_index, way_to_words
from .syncing import sync

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from .evaluating import Judged, Measures

SHOWN = 100  # characters of a cell in a table for people
VERDICTS = {True: "more than chance", False: "may be chance", None: "too few questions differ to tell"}


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit code: 0 done, 1 a problem that was printed, 130 interrupted."""
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="backslashreplace")  # texts may be in no alphabet of the terminal
    options = parser().parse_args(arguments)

    def work() -> None:
        try:
            options.command(options)
        except UnicodeEncodeError as error:
            raise Problem(not_utf8(error)) from error
        except (CatalogError, IndexProblem, LoadingFailed, LoadingUnavailable, FileNotFoundError) as error:
            raise Problem(str(error)) from error
        except Exception as error:
            if type(error).__module__.split(".")[0] not in ("sqlite3", "pysqlite3"):
                raise
            raise Problem(str(error)) from error

    return run("the database", work)


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(prog="sqlite-bge", description="Semantic search in SQLite: models, indexes, queries.")
    top.add_argument("--version", action="version", version=_attribute("__version__"))
    commands = top.add_subparsers(required=True, metavar="COMMAND")

    one = commands.add_parser("download", help="get a model into the Hugging Face cache, or into a folder")
    one.add_argument("model", nargs="?", default=DEFAULT_MODEL, metavar="MODEL", help=f"a name of the catalogue ({DEFAULT_MODEL})")
    one.add_argument("--into", metavar="DIR", type=Path, help="as DIR/MODEL instead")
    one.add_argument("--force", action="store_true", help="fetch it again though it is there")
    one.add_argument("--timeout", type=float, default=10.0, metavar="SECONDS", help="how long the hub may take to answer (10)")
    one.add_argument("--no-pack", action="store_true", help="do not keep packed weights beside the model (130 MB)")
    one.set_defaults(command=command_download)

    one = commands.add_parser("models", help="the models of the catalogue, and which of them are here")
    one.add_argument("--json", action="store_true")
    one.set_defaults(command=command_models)

    one = commands.add_parser("info", help="what is installed, and what is missing")
    one.add_argument("--json", action="store_true", help="all that bge_info() says")
    one.set_defaults(command=command_info)

    one = commands.add_parser("index", help="make or update the index of a table")
    one.add_argument("db", metavar="DB")
    one.add_argument("table", metavar="TABLE", help="a table or view")
    one.add_argument("columns", nargs="+", metavar="COLUMN", help="texts to embed, joined in this order")
    one.add_argument("--name", help="the index's name (TABLE_bge)")
    one.add_argument("--model", help="a model's name")
    one.add_argument("--filter", action="append", default=[], metavar="COLUMN", help="a column to compare in queries; may be repeated")
    one.add_argument("--key", metavar="COLUMN", help="the integer column that identifies a row (the INTEGER PRIMARY KEY)")
    one.add_argument("--storage", choices=["f32", "f16", "int8"], help="how vectors are kept (f32)")
    words = one.add_mutually_exclusive_group()
    words.add_argument("--words", action="store_true", default=None, help="keep words beside vectors, ranked by both (a new index of a table does)")
    words.add_argument("--no-words", dest="words", action="store_false", default=None, help="vectors alone, ranked by meaning")
    one.add_argument("--no-progress", action="store_true")
    one.set_defaults(command=command_index)

    one = commands.add_parser("replace", help="put an index in the place of another one, which is dropped")
    one.add_argument("db", metavar="DB")
    one.add_argument("index", metavar="INDEX", help="the one that answers now")
    one.add_argument("by", metavar="NEW", help="another index over the same table, which gets its name")
    one.add_argument("--no-progress", action="store_true")
    one.set_defaults(command=command_replace)

    one = commands.add_parser("search", help="the rows nearest to a query")
    one.add_argument("db", metavar="DB")
    one.add_argument("table", metavar="TABLE", help="an indexed table, or the index itself")
    one.add_argument("query", metavar="QUERY")
    one.add_argument("-k", type=int, default=10, metavar="N", help="rows (10)")
    one.add_argument("--rank", metavar="RANKING", help="how to rank, such as 'meaning', 'words' or 'hybrid, mmr(0.7)' (as the index does)")
    form = one.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="an array of objects")
    form.add_argument("--csv", action="store_true")
    one.set_defaults(command=command_search)

    one = commands.add_parser("evaluate", help="how good rankings are, by your questions and judgements")
    one.add_argument("db", metavar="DB")
    one.add_argument("table", metavar="INDEX", help="an indexed table, or the index itself")
    one.add_argument("--queries", required=True, metavar="FILE", help="id<TAB>text, or JSON Lines with _id and text")
    one.add_argument("--qrels", required=True, metavar="FILE", help="judgements: question, 0, row, grade (TREC); or with a heading: question, row, grade (BEIR)")
    one.add_argument("--ranking", action="append", default=[], metavar="RANKING", help="what to measure, such as 'hybrid, mmr(0.7)' (meaning); may be repeated")
    one.add_argument("--against", action="append", default=[], metavar="RANKING", help="and what to compare the first with; may be repeated")
    one.add_argument("--k", type=int, default=10, metavar="N", help="rows that nDCG and MRR look at (10)")
    one.add_argument("--id-column", metavar="COLUMN", help="the column that judgements name rows by (the rowid)")
    one.add_argument("--json", action="store_true", help="with the measures of each question")
    one.add_argument("--no-progress", action="store_true")
    one.set_defaults(command=command_evaluate)
    return top


# --- models -------------------------------------------------------------------------------


def command_download(options: argparse.Namespace) -> None:
    from .download import download

    folder = download(options.model, options.into, force=options.force, timeout=options.timeout)
    if not options.no_pack:
        from .packing import pack

        pack(folder)


def command_models(options: argparse.Namespace) -> None:
    here = {row[0]: row for row in open_database().execute("SELECT name, source, bytes FROM bge_models")}
    known = {model["name"]: model for model in catalogue()}
    rows = []
    for name in [*known, *sorted(set(here) - set(known))]:
        model, (_, source, size) = known.get(name, {}), here.get(name, (name, None, None))
        rows.append((name, model.get("dims"), model.get("max_length"), size and round(size / 1e6), source))
    if options.json:
        keys = ("name", "dims", "max_length", "megabytes", "folder")
        print(json.dumps([dict(zip(keys, row)) for row in rows], indent=1))
        return
    print_table(["MODEL", "DIMS", "TOKENS", "MB", "WHERE"], [(*row[:4], row[4] or "-") for row in rows])


def command_info(options: argparse.Namespace) -> None:
    module = sys.modules[type(db := open_database()).__module__.split(".")[0]]
    info = json.loads(db.execute("SELECT bge_info()").fetchone()[0])
    if options.json:
        print(json.dumps(info, indent=1))
        return
    print(f"sqlite-bge  {info['version']} (commit {info['commit'] or 'unknown'})")
    print(f"library     {loadable_path()}")
    print(f"SQLite      {module.sqlite_version}, by {module.__name__} of Python {sys.version.split()[0]}")
    places = [("runtime", info["runtime"]["looked_at"]), (f"model {info['model']['name']}", info["model"]["looked_at"])]
    for what, looked_at in places:
        found = [place for place in looked_at if place["found"]]
        print(f"{what}: {found[0]['path'] + ' (' + found[0]['rule'] + ')' if found else 'NOT FOUND; looked at'}")
        for place in [] if found else looked_at:
            print(f"    {place['path']} ({place['rule']})")
    if info["last_load_error"]:
        print(f"last error  {info['last_load_error']}")
    # Whether all of it works together is seen by trying.
    dims = db.execute("SELECT bge_dims(bge_embed('a test'))").fetchone()[0]
    print(f"It works: a text has become a vector of {dims} dimensions.")


# --- indexes ------------------------------------------------------------------------------


def command_index(options: argparse.Namespace) -> None:
    db = open_database(options.db)
    wanted = Wanted(options.columns, options.filter, options.model, options.key, options.storage, options.words)
    index, note = create_index(db, options.table, wanted, options.name)
    changed = sync(db, quoted(index.name), progress=not options.no_progress)
    status = json.loads(db.execute("SELECT bge_status(?)", (quoted(index.name),)).fetchone()[0])
    if status["rows"] is None or status["problem_rows"] is None:
        raise Problem(f"{index.name} cannot be read: {'; '.join(status['wrong'])}")
    print(f"{index.name}: {status['rows']} rows, {changed} of them new or changed")
    if note:
        print(f"  {note}")
    for row in status["problem_rows"]:
        print(f"  row {row['rowid']} is left out: {row['problem']}")
    for wrong in status["wrong"]:
        print(f"  {wrong}")


def command_replace(options: argparse.Namespace) -> None:
    db = open_database(options.db)
    replace_index(db, options.index, options.by, progress=not options.no_progress)
    print(f"{options.by} is now {options.index}")


def refuse_no_number_of_rows(option: str, rows: int) -> None:
    if not 1 <= rows <= MOST_ROWS:
        raise Problem(f"{option} is {rows}, expected a number of rows, at least 1 and at most {MOST_ROWS}")


def command_search(options: argparse.Namespace) -> None:
    refuse_no_number_of_rows("-k", options.k)
    db = open_database(options.db, readonly=True)
    index = find_index(db, options.table)
    with way_to_words(db, index):
        names, rows = search(db, index, options.query, options.k, options.rank)
    if options.json:
        print(json.dumps([dict(zip(names, map(plain, row))) for row in rows], indent=1, ensure_ascii=False))
    elif options.csv:
        writer = csv.writer(sys.stdout)
        writer.writerow(without_places(names))
        writer.writerows([plain(cell) for cell in without_places(row)] for row in rows)
    else:
        for number, row in enumerate(rows, 1):
            rowid, score, passage, by_meaning, by_words, *cells = row
            places = f"  (by meaning {by_meaning or '-'}, by words {by_words})" if by_words else ""
            print(f"{number}. {'-' if score is None else format(score, '.2f')}  row {rowid}{places}")
            print(f"   {one_line(passage, 300)}" if passage else "   " + one_line(" | ".join(str(c) for c in cells if c is not None), 300))


def command_evaluate(options: argparse.Namespace) -> None:
    from .evaluating import judged, measure, ranker, read_judgements, read_questions

    refuse_no_number_of_rows("--k", options.k)
    questions, judgements = read_questions(options.queries), read_judgements(options.qrels)
    db = open_database(options.db, readonly=True)
    index = find_index(db, options.table)
    asked = judged(db, index, questions, judgements, options.id_column)
    pending = json.loads(db.execute("SELECT bge_status(?)", (quoted(index.name),)).fetchone()[0])["pending"]
    for note in [*asked.left_out, *([f"{pending} rows are not embedded yet"] if pending else [])]:
        print(f"note: {note}", file=sys.stderr)
    names = (options.ranking or ["meaning"]) + options.against
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise Problem(f"the ranking '{twice[0]}' is given twice: --ranking (meaning, if not given) is compared with each --against")
    rankers = {name: ranker(db, index, name, options.k) for name in names}
    with way_to_words(db, index):
        found = measure(asked, rankers, options.k, progress=not options.no_progress)
    (print_evaluation_json if options.json else print_evaluation)(asked, found, options.k)


# --- output -------------------------------------------------------------------------------


def plain(cell: object) -> object:
    """A cell for JSON and CSV: a BLOB has no text, so its size is given."""
    return f"<{len(cell)} bytes>" if isinstance(cell, bytes) else cell


def without_places(row: Sequence) -> list:
    """A row of a search, or its heads, without why it stands where it does: a table is for what was found."""
    return [*row[:FIRST.index("by_meaning")], *row[len(FIRST):]]


def one_line(text: object, most: int = SHOWN) -> str:
    line = " ".join(str("" if text is None else text).split())
    return line if len(line) <= most else line[: most - 1] + "…"


def print_table(heads: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    lines = [[one_line(cell) for cell in row] for row in [heads, *rows]]
    widths = [max(len(line[i]) for line in lines) for i in range(len(heads))]
    for line in lines:
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths)).rstrip())


def print_evaluation(asked: Judged, found: Sequence[Measures], k: int) -> None:
    from .comparing import compare

    print(f"{len(asked.questions)} questions; nDCG@{k} with the grade as gain, recall of relevant rows in 100, MRR@{k}")
    print_table(["RANKING", f"NDCG@{k}", "RECALL@100", f"MRR@{k}"],
                [(one.ranking, *(f"{mean(values):.4f}" for values in (one.ndcg, one.recall, one.reciprocal_rank))) for one in found])
    for other in found[1:]:
        found_difference = compare(found[0].ndcg, other.ndcg)
        print(f"{found[0].ranking} against {other.ranking}, nDCG@{k}: {found_difference.mean:+.4f}, "
              f"{VERDICTS[found_difference.more_than_chance]} (randomisation test p = {found_difference.p:.2g}); better on "
              f"{found_difference.better} questions, worse on {found_difference.worse} (sign test p = {found_difference.sign_p:.2g}); "
              f"95 % of bootstraps are within {found_difference.low:+.4f} and {found_difference.high:+.4f}")


def print_evaluation_json(asked: Judged, found: Sequence[Measures], k: int) -> None:
    from dataclasses import asdict

    from .comparing import compare

    rankings = [{"ranking": one.ranking, "ndcg": mean(one.ndcg), "recall": mean(one.recall),
                 "mrr": mean(one.reciprocal_rank)} for one in found]
    against = [{"ranking": other.ranking, **asdict(difference), "more_than_chance": difference.more_than_chance}
               for other in found[1:] for difference in [compare(found[0].ndcg, other.ndcg)]]
    each = [{"question": name, **{one.ranking: {"ndcg": one.ndcg[i], "recall": one.recall[i], "mrr": one.reciprocal_rank[i]} for one in found}}
            for i, name in enumerate(asked.questions)]
    print(json.dumps({"questions": len(asked.questions), "k": k, "left_out": asked.left_out, "rankings": rankings,
                      "first_against": against, "each": each}, indent=1, ensure_ascii=False))


def mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
