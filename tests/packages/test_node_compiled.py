"""better-sqlite3, which is compiled on the spot (about a minute): part of `make test-all`."""

from languages import check_example
from node_app import app, compiled  # noqa: F401 (fixtures)


def test_better_sqlite3(app, compiled):  # noqa: F811
    for package in ("better-sqlite3", "bindings", "file-uri-to-path"):
        app.borrow(package, compiled)
    check_example(["node", "better-sqlite3.mjs"], app.env(), app.folder)
