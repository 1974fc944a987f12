"""The indexes of a database, and what a table's page shows of a search."""

from __future__ import annotations

import weakref
from dataclasses import dataclass, field
from typing import Any

from datasette.database import QueryInterrupted
from datasette.utils import path_from_row_pks, sqlite3
from sqlite_bge.indexes import Index, IndexProblem, all_indexes, choose, first_columns, quoted, ranked_by, search

ROWS = 20  # shown of one search
PASSAGE, CELL = 400, 100  # characters shown; the row's own page has all of them
SHADOW = ("config", "rows", "text", "passages", "codes", "log", "words")
RANKINGS = ("meaning", "words", "hybrid")  # offered where an index has words; any other may be written in the address


@dataclass
class Known:
    """The indexes of a database as of one version of its schema."""

    version: int
    indexes: list[Index]


# A database of Datasette -> Known. Datasette asks for hidden tables without a way to wait for a query.
_known: weakref.WeakKeyDictionary = weakref.WeakKeyDictionary()


async def indexes_of(database: Any) -> list[Index]:
    """The semantic indexes of a database, read again when its schema has changed."""

    def read(db: Any) -> Known:
        version = db.execute("PRAGMA schema_version").fetchone()[0]
        known = _known.get(database)
        return known if known and known.version == version else Known(version, all_indexes(db))

    _known[database] = await database.execute_fn(read)
    return _known[database].indexes


def known_to_be_hidden(database: Any) -> list[str]:
    """Tables that a visitor has no use for, as of the last look at the schema."""
    known = _known.get(database)
    if not known:
        return []
    tables = [f"{index.name}_{suffix}" for index in known.indexes for suffix in SHADOW]
    hidden = tables + [index.name for index in known.indexes if index.content]
    return [*hidden, "sqlite_sequence"] if hidden else []  # SQLite's own, made for an index's log


def warm_up(db: Any, index: Index) -> None:
    """Loads what a search needs: the model, and the index's compact codes."""
    for _ in search(db, index, "warm up", 1)[1]:
        pass


@dataclass
class SearchPage:
    """What templates/table.html shows above a table."""

    query: str
    ranking: str = ""  # as given; the index's default where it is blank
    rankings: list[str] = field(default_factory=list)  # to choose from
    rows: list[dict] = field(default_factory=list)
    error: str | None = None


async def search_page(datasette: Any, request: Any, database_name: str, table: str) -> SearchPage | None:
    """The search box of a table's page, and what the query in `?_semantic=` finds, ranked as `_rank=` says; None without
    an index."""
    database = datasette.get_database(database_name)
    chosen = choose(await indexes_of(database), table)
    if not chosen:
        return None
    index = chosen[0]
    page = SearchPage(*((request.args.get(name) or "").strip() for name in ("_semantic", "_rank")))
    page.rankings = _offered(index, page.ranking)
    if not page.query:
        return page
    try:
        await _fill(datasette, database, index, page)
    except QueryInterrupted:
        limit = datasette.setting("sql_time_limit_ms")
        page.error = f"the search took longer than {limit} ms (the setting sql_time_limit_ms)"
    except (sqlite3.Error, IndexProblem) as error:
        page.error = str(error)
    return page


def _offered(index: Index, given: str) -> list[str]:
    """The rankings to choose from: none where there is nothing to choose."""
    known = list(RANKINGS) if index.words else []
    return known if not given or given in known else [*known, given]


async def _fill(datasette: Any, database: Any, index: Index, page: SearchPage) -> None:
    table = index.content or index.name
    keys = await database.primary_keys(table) if index.content else []
    names = await database.table_columns(table) if index.content else index.columns
    sql = _statement(index, names, page.ranking or None)
    found = await database.execute(sql, {"q": page.query, "k": ROWS, "ranking": page.ranking}, page_size=ROWS)
    for row in found.rows:
        rowid, score, passage, by_meaning, by_words, *cells = row
        values = dict(zip(names, cells))
        path = None
        if index.content is None:
            path = str(rowid)
        elif keys:
            path = path_from_row_pks(values, keys, use_rowid=False)
        page.rows.append({
            "score": None if score is None else f"{score:.2f}", "passage": shortened(passage, PASSAGE),
            "places": _places(by_meaning, by_words) if index.words else "",
            "link": datasette.urls.row(database.name, table, path) if path else None,
            "cells": [(name, shortened(cell, CELL)) for name, cell in values.items() if not _is_said(cell, passage)]})


def _is_said(cell: Any, passage: str | None) -> bool:
    """Whether a cell adds nothing to the passage above it: it is empty, a part of it, or the whole it is from."""
    if cell is None or cell == "":
        return True
    return isinstance(cell, str) and passage is not None and (cell in passage or passage in cell)


def _places(by_meaning: int | None, by_words: int | None) -> str:
    """Why a row stands where it does."""
    return ", ".join(f"by {what} {place}" for what, place in (("meaning", by_meaning), ("words", by_words)) if place)


def _statement(index: Index, columns: list[str], ranking: str | None) -> str:
    """The query with :q, :k and :ranking; its columns are those of every search, and `columns`."""
    if index.content:
        shown = "".join(f", t.{quoted(column)}" for column in columns)
        joined = f" JOIN {quoted(index.content)} AS t ON t.{quoted(index.key or 'rowid')} = s.rowid"
    else:
        shown, joined = "".join(f", s.{quoted(column)}" for column in columns), ""
    where, order = ranked_by(index, ranking)
    return f"SELECT {first_columns(index)}{shown} FROM {quoted(index.name)}(:q) AS s{joined}{where} ORDER BY {order} LIMIT :k"


def shortened(cell: Any, most: int) -> str:
    """A cell as a visitor sees it. The template escapes it: it may hold anything."""
    if cell is None:
        return ""
    if isinstance(cell, bytes):
        return f"<{len(cell)} bytes>"
    text = str(cell)
    return text if len(text) <= most else text[: most - 1].rstrip() + "…"
