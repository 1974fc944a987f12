"""Two indexes change names (sql/change-model.sql does that) while another connection is at work on one of them: what is known of
the one is never done to the other, and nobody calls an index damaged.

As in test_index_snapshots.py, the swap comes at each boundary between two statements of ours in turn, found with SQLite's trace.
"""

import shutil

import apsw
import pytest
from support import TINY, connect, stopped_after, value

OTHER = "tiny-bert-no-types"
OURS = {"sync": "SELECT bge_sync('docs_bge')", "sync of the new one": "SELECT bge_sync('docs_bge_new')",
        "command": "INSERT INTO docs_bge(docs_bge) VALUES ('sync')", "search": "SELECT rowid FROM docs_bge('device')",
        "status": "SELECT bge_status('docs_bge')", "scan": "SELECT * FROM docs_bge", "check": "INSERT INTO docs_bge(docs_bge) VALUES ('integrity-check')",
        "rebuild": "INSERT INTO docs_bge(docs_bge) VALUES ('rebuild')"}
FIRST = f"CREATE VIRTUAL TABLE docs_bge USING bge(title, body, content='docs', model='{TINY}')"
SECOND = {"columns": f"bge(body, title, content='docs', model='{OTHER}')", "content": f"bge(title, body, content='others', model='{TINY}')",
          "storage": f"bge(title, body, content='docs', model='{TINY}', storage='int8')"}

CASES = [(ours, second, synced) for ours in OURS for second in SECOND for synced in (True, False)
         if ours == "sync" or second == "columns" and (synced or ours == "sync of the new one")]


@pytest.mark.parametrize("ours,second,synced", CASES)
def test_names_change_between_two_statements_of_ours(tmp_path, ours, second, synced):
    """The swap is committed at each boundary between two statements inside one of another connection; afterwards each index
    under either name is in step, by its own declaration."""
    made = tmp_path / "made.db"
    db = connect(database=made)
    db.execute("PRAGMA journal_mode = wal").fetchall()
    db.execute("CREATE TABLE docs(id INTEGER PRIMARY KEY, title, body); CREATE TABLE others(id INTEGER PRIMARY KEY, title, body)")
    db.execute(f"{FIRST}; CREATE VIRTUAL TABLE docs_bge_new USING {SECOND[second]}")
    db.execute("INSERT INTO docs VALUES (1, 'device', 'reset it'), (2, 'bill', 'a page'); INSERT INTO others VALUES (7, 'team', 'days off'), (8, 'x', NULL)")
    if synced:
        value(db, "SELECT bge_sync('docs_bge') + bge_sync('docs_bge_new')")
    db.execute("INSERT INTO docs VALUES (3, 'nlp', 'i love it'); INSERT INTO others VALUES (9, 'bill', 'download')")
    db.close()
    for boundary in range(1, 400):
        if not swapped_beside(made, tmp_path / "c.db", OURS[ours], second, boundary):
            return
    raise AssertionError("more than 400 statements")


def swapped_beside(made, path, ours, second, boundary):
    """Whether the statement reaches this boundary."""
    for suffix in ("", "-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
    shutil.copy(made, path)
    one, other = connect(database=path), connect(database=path)
    for db in (one, other):
        db.execute("SELECT rowid FROM docs_bge('x')").fetchall()
    seen = 0

    def trace(event):
        nonlocal seen
        seen += 1
        if seen == boundary and one.txn_state("main") != apsw.SQLITE_TXN_WRITE:
            other.execute("PRAGMA legacy_alter_table = ON; BEGIN; ALTER TABLE docs_bge RENAME TO docs_bge_old; ALTER TABLE docs_bge_new RENAME TO docs_bge; COMMIT").fetchall()

    one.trace_v2(apsw.SQLITE_TRACE_STMT, trace)
    said = None
    try:
        with stopped_after(one, 30):
            one.execute(ours).fetchall()
    except apsw.Error as error:
        said = error
    one.trace_v2(0, None)
    if said:
        meant = isinstance(said, (apsw.BusyError, apsw.LockedError, apsw.SchemaChangeError)) or "call bge_sync again" in str(said) \
            or "there is no index 'docs_bge_new'" in str(said)
        assert meant and "damaged" not in str(said), (boundary, said)
    swapped = "docs_bge_old" in {name for name, in other.execute("SELECT name FROM sqlite_schema")}
    first, new = ("docs_bge_old", "docs_bge") if swapped else ("docs_bge", "docs_bge_new")
    for name in (first, new):
        for _ in range(2):
            value(other, f"SELECT bge_sync('{name}')")
    texts = "SELECT id, CASE WHEN {0} IS NULL THEN {1} WHEN {1} IS NULL THEN {0} ELSE {0} || char(10) || {1} END FROM {2}"
    wanted = {first: (texts.format("title", "body", "docs"), TINY),
              new: {"columns": (texts.format("body", "title", "docs"), OTHER), "content": (texts.format("title", "body", "others"), TINY),
                    "storage": (texts.format("title", "body", "docs"), TINY)}[second]}
    for name, (sql, model) in wanted.items():
        rows = dict(other.execute(sql))
        vectors = dict(other.execute(f"SELECT rowid, embedding FROM {name}"))
        assert vectors.keys() == rows.keys(), (boundary, name)
        for rowid, text in rows.items():
            if text is not None:
                assert value(other, "SELECT bge_cosine(?, bge_embed(?, ?))", vectors[rowid], text, model) > 0.999, (boundary, name, rowid)
        other.execute(f"INSERT INTO {name}({name}) VALUES ('integrity-check')")
        assert value(other, f"SELECT bge_status('{name}') ->> '$.wrong'") == "[]"
    one.close(True)
    other.close(True)
    return seen >= boundary
