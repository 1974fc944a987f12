"""Datasette's plugin: the extension in every connection, and a search box on indexed tables' pages.

Visitors run SQL of their own in Datasette, so connections get the restricted entry point, which
registers only what reads. Models are loaded when Datasette starts: the first query would otherwise lose
to its limit of one second. `searching` finds indexes and asks them; `templates/table.html` shows that.
"""

from __future__ import annotations

import sys

from datasette import hookimpl
from sqlite_bge import load

from . import searching


@hookimpl
def prepare_connection(conn) -> None:
    load(conn, readonly=True)


@hookimpl
def startup(datasette):
    async def warm_up() -> None:
        for name, database in datasette.databases.items():
            for index in await searching.indexes_of(database):
                try:
                    # execute_fn has no time limit; a search reads the model and the index's codes.
                    await database.execute_fn(lambda db, index=index: searching.warm_up(db, index))
                except Exception as error:  # one broken index must not keep all else from being served
                    print(f"datasette-sqlite-bge: {name}.{index.name} cannot be searched: {error}", file=sys.stderr)

    return warm_up


@hookimpl
def get_metadata(datasette):
    """Hides the tables behind each index, and an index that stands beside its table."""
    hidden = {name: searching.known_to_be_hidden(database) for name, database in datasette.databases.items()}
    return {"databases": {name: {"tables": {table: {"hidden": True} for table in tables}}
                          for name, tables in hidden.items() if tables}}


@hookimpl
def extra_template_vars(datasette, request, database, table, view_name):
    if view_name != "table" or not table:
        return None

    async def search_of_the_page() -> dict:
        return {"bge_search": await searching.search_page(datasette, request, database, table)}

    return search_of_the_page
