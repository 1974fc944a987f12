"""The plugin of sqlite-utils: `sqlite-utils bge index|search|sync|info`.

It also loads the extension into sqlite-utils' connections, so that an indexed database can be read and
written by its other commands and by the Python API.
"""

from __future__ import annotations

import contextlib
import csv
import json
import sys
from collections.abc import Iterator

import click
from sqlite_utils import hookimpl

from .cli import plain, without_places
from .connecting import not_utf8, open_database
from .indexes import MOST_ROWS, Index, IndexProblem, all_indexes, find_index, indexes_over, quoted
from .indexes import search as search_index
from .loading import LoadingFailed, LoadingUnavailable, load
from .making import Wanted, create_index, way_to_words
from .syncing import sync as sync_index

PATH = click.argument("path", type=click.Path(exists=True, dir_okay=False))


@hookimpl
def prepare_connection(conn) -> None:
    # Where nothing can be loaded the other commands go on as they did; ours say what is missing.
    with contextlib.suppress(LoadingUnavailable, LoadingFailed):
        load(conn)


@contextlib.contextmanager
def problems_said() -> Iterator[None]:
    """Turns what goes wrong into click's one-line errors."""
    try:
        yield
    except UnicodeEncodeError as error:
        raise click.ClickException(not_utf8(error)) from error
    except (IndexProblem, LoadingUnavailable, LoadingFailed) as error:
        raise click.ClickException(str(error)) from error
    except Exception as error:
        if type(error).__module__.split(".")[0] not in ("sqlite3", "pysqlite3"):
            raise
        raise click.ClickException(str(error)) from error


@hookimpl
def register_commands(cli) -> None:
    cli.add_command(bge)


@click.group()
def bge() -> None:
    "Semantic indexes: tables searched by meaning"


@bge.command()
@PATH
@click.argument("table")
@click.argument("columns", nargs=-1, required=True)
@click.option("--name", help="The index's name, TABLE_bge by default")
@click.option("--model", help="A model's name")
@click.option("--filter", "filters", multiple=True, help="A column to compare in queries, not embedded")
@click.option("--key", help="The integer column that identifies a row")
@click.option("--storage", type=click.Choice(["f32", "f16", "int8"]), help="How vectors are kept")
@click.option("--words/--no-words", default=None, help="Keep words beside vectors, ranked by both: a new index of a table does")
@click.option("--silent", is_flag=True, help="No progress bar")
def index(path, table, columns, name, model, filters, key, storage, words, silent) -> None:
    "Make or update the index of a table over some of its text columns"
    with problems_said():
        db = open_database(path)
        made, note = create_index(db, table, Wanted(columns, filters, model, key, storage, words), name)
        if note and not silent:
            click.echo(f"{made.name} is {note}", err=True)
        sync_index(db, quoted(made.name), progress=not silent)


@bge.command()
@PATH
@click.argument("table")
@click.argument("query")
@click.option("-n", "--limit", type=click.IntRange(1, MOST_ROWS), default=10, help="Rows to return, 10 by default")
@click.option("--rank", help="How to rank, such as 'meaning', 'words' or 'hybrid, mmr(0.7)'; as the index does by default")
@click.option("--json", "form", flag_value="json", default=True, help="Output JSON, the default")
@click.option("--csv", "form", flag_value="csv", help="Output CSV")
@click.option("-t", "--table", "form", flag_value="table", help="Output as a formatted table")
def search(path, table, query, limit, rank, form) -> None:
    "The rows of an indexed table that are nearest to a query"
    with problems_said():
        db = open_database(path, readonly=True)
        index = find_index(db, table)
        with way_to_words(db, index):
            names, rows = search_index(db, index, query, limit, rank)
        show(names, [[plain(cell) for cell in row] for row in rows], form)


def show(names: list[str], rows: list[list], form: str) -> None:
    if form != "json":
        names, rows = without_places(names), [without_places(row) for row in rows]
    if form == "csv":
        writer = csv.writer(sys.stdout)
        writer.writerow(names)
        writer.writerows(rows)
    elif form == "table":
        from tabulate import tabulate  # sqlite-utils brings it

        click.echo(tabulate(rows, headers=names))
    else:
        click.echo(json.dumps([dict(zip(names, row)) for row in rows], indent=2, ensure_ascii=False))


@bge.command()
@PATH
@click.argument("tables", nargs=-1)
@click.option("--silent", is_flag=True, help="No progress bar")
def sync(path, tables, silent) -> None:
    "Embed what has changed, in the indexes of these tables or in all"
    with problems_said():
        db = open_database(path)
        chosen: list[Index] = [index for table in tables for index in indexes_over(db, table, all_of_it=True)] or all_indexes(db)
        for one in chosen:
            sync_index(db, quoted(one.name), progress=not silent)


@bge.command()
@PATH
def info(path) -> None:
    "How the indexes of a database stand, as JSON"
    with problems_said():
        db = open_database(path, readonly=True)
        statuses = [db.execute("SELECT bge_status(?)", (quoted(one.name),)).fetchone()[0] for one in all_indexes(db)]
        click.echo(json.dumps([json.loads(status) for status in statuses], indent=2, ensure_ascii=False))
