"""The SQLite extension sqlite-bge for Python: text in, meaning out, inside SQL.

    import sqlite3, sqlite_bge

    db = sqlite3.connect("notes.db")
    sqlite_bge.load(db)
    db.execute("SELECT bge_cosine(bge_embed('embedding'), bge_embed('nlp'))").fetchone()

Importing this module reads nothing and opens nothing. `load` registers the SQL functions on a
connection; model and runtime are opened by the first call that embeds. Nothing here downloads a
model: `sqlite-bge download` does, or `sqlite_bge.download.download`.

The files: `loading` (finding and loading the library), `vectors` (blobs and numpy), `syncing`,
`indexes` and `making` (searching an index and making one, for the commands), `evaluating` and `comparing` (how good a
ranking is), `catalog`, `download`, `fetching`, `hub`, `maven` (models), `cli`, `connecting`, and the
plugins `sqlite_utils_plugin`, `llm_plugin`, `langchain`.
"""

from .loading import LoadingFailed, LoadingUnavailable, load, loadable_path
from .syncing import sync
from .vectors import deserialize, serialize_float32

__all__ = ["LoadingFailed", "LoadingUnavailable", "deserialize", "load", "loadable_path", "serialize_float32", "sync"]


def __getattr__(name: str) -> str:
    if name == "__version__":  # the wheel's own record is its only owner
        from importlib.metadata import version

        return version("sqlite-bge")
    raise AttributeError(f"module 'sqlite_bge' has no attribute '{name}'")
