"""What a process sees of whole-table work and of models that come and go: nothing leaks, a connection closes at once, a
forked child works, and nothing is printed or written."""

from support import SystemSqlite, run_python, shell_command, sqlite3
from test_quiet import Traced

NOW = """
import os
def now():
    status = dict(line.split(":", 1) for line in open("/proc/self/status"))
    return int(status["Threads"]), int(status["VmRSS"].split()[0]) / 1024, len(os.listdir("/proc/self/fd"))
def unchanged(before, megabytes):
    after = now()
    assert after[0] == before[0] and after[1] < before[1] + megabytes and after[2] == before[2], (before, after)
"""


def test_many_statements_of_every_kind_leak_nothing():
    """Run to the end, ended early, and failing at every stage."""
    run_python(NOW + """
db = connect()
db.execute("CREATE TABLE docs(id INTEGER PRIMARY KEY, body); CREATE TABLE emb(id, v)")
db.executemany("INSERT INTO docs(body) VALUES (?)", [(t,) for t in texts(100, longest=5)])
def work():
    for _ in range(60):
        db.execute("INSERT INTO emb SELECT key, embedding FROM bge_batch('SELECT id, body FROM docs', 'tiny-bert'); DELETE FROM emb")
        list(db.execute("SELECT key FROM bge_batch('SELECT id, body FROM docs WHERE id > ?1', 'tiny-bert', 7) LIMIT 1"))
        list(db.execute("SELECT text FROM bge_embed_each(?, 'tiny-bert') LIMIT 2", (json.dumps(["a" * 2000] * 5),)))
        list(db.execute("SELECT chunk FROM bge_chunks(?, 16, 4, 'tiny-bert')", ("one two three. " * 60,)))
        list(db.execute("SELECT name FROM bge_models"))
        for sql in ("SELECT 1", "SELECT 1, x'ff'", "DELETE FROM docs", "SELCT", "SELECT 1, 'a'; SELECT 2, 'b'", "SELECT ?1, 2"):
            failure(db, "SELECT key FROM bge_batch(?, 'tiny-bert')", sql)
            failure(db, "INSERT INTO emb SELECT key, embedding FROM bge_batch(?, 'tiny-bert')", sql)
        failure(db, "SELECT * FROM bge_embed_each(?, 'tiny-bert')", "[" + '"a",' * 90 + "{}]")
        failure(db, "SELECT * FROM bge_chunks('a', 1, 0, 'tiny-bert')")
        failure(db, "SELECT bge_load('x', 'tiny-bert', '{\\"threads\\": 0}')")
work()
before = now()
for _ in range(3):
    work()
unchanged(before, 8)
""", timeout=120)


def test_loading_and_unloading_a_model_many_times_leaks_nothing():
    run_python(NOW + """
db = connect()
def cycle(n):
    load(db, "m", ("tiny-bert", "tiny-bert-no-types")[n % 2], threads=2)
    embed(db, f"text {n}", "m")
    if n % 3:
        unload(db, "m")
    failure(db, "SELECT bge_load('m', ?)", str(FIXTURES / "broken"))
for n in range(30):
    cycle(n)
unload(db, "m")
before = now()
for n in range(150):
    cycle(n)
unload(db, "m")
unchanged(before, 15)
""", timeout=120)


def test_connections_that_used_the_tables_leak_nothing():
    run_python(NOW + """
def cycle(n):
    db = connect()
    rows = db.execute("SELECT key FROM bge_batch('SELECT 1, ''a'' UNION ALL SELECT 2, ''b''', 'tiny-bert')")
    next(rows)
    list(db.cursor().execute("SELECT * FROM bge_embed_each('[1]', 'tiny-bert')"))
    list(db.cursor().execute("SELECT * FROM bge_chunks('a', 16, 0, 'tiny-bert')"))
    db.close(True)
for n in range(20):
    cycle(n)
before = now()
for n in range(200):
    cycle(n)
unchanged(before, 5)
""")


def test_sqlite3_close_is_never_busy():
    """Of sqlite3_close, not _v2: a statement that we kept would make it answer SQLITE_BUSY."""
    host = SystemSqlite()
    for sql in ("CREATE TABLE docs(id, body)", "INSERT INTO docs VALUES (1, 'a'), (2, 'b')",
                "SELECT count(*) FROM bge_batch('SELECT id, body FROM docs', 'tiny-bert')",
                "INSERT INTO docs SELECT key, text FROM bge_batch('SELECT id, body FROM docs', 'tiny-bert')",
                "SELECT count(*) FROM bge_embed_each('[\"a\"]', 'tiny-bert')", "SELECT name FROM bge_models LIMIT 1",
                "SELECT count(*) FROM bge_chunks('a b c', 3, 0, 'tiny-bert')"):
        assert host.run(sql) == 101
    for sql in ("SELECT * FROM bge_batch('SELECT 1, x''ff''', 'tiny-bert')", "SELECT * FROM bge_chunks('a', 1, 0, 'tiny-bert')"):
        assert host.run(sql) & 0xff in (1, 20)
    assert host.lib.sqlite3_close(host.db) == 0


def test_a_forked_child_does_whole_tables_too():
    run_python("""
import os, signal
db = connect()
sql = "SELECT group_concat(hex(embedding)) FROM bge_batch('SELECT 1, ''reset'' UNION ALL SELECT 2, ''password''', 'tiny-bert')"
wanted = value(db, sql)
pid = os.fork()
if pid == 0:
    signal.alarm(20)
    try:
        same = value(db, sql) == wanted == value(connect(), sql)
        load(db, "m", "tiny-bert-no-types")
        os._exit(0 if same and len(embed(db, "a", "m")) == 128 and unload(db, "m") == 1 else 2)
    except BaseException as error:
        print(error, flush=True)
        os._exit(1)
assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
assert value(db, sql) == wanted
""")


BULK = ["CREATE TABLE docs(id, body)", "INSERT INTO docs VALUES (1, 'a'), (2, 'b')",
        "CREATE TABLE emb AS SELECT key, embedding FROM bge_batch('SELECT id, body FROM docs', 'tiny-bert')",
        "SELECT count(*) FROM emb", "SELECT count(*) FROM bge_chunks('one two. three', 4, 0, 'tiny-bert')",
        "SELECT bge_load('m', 'tiny-bert')", "SELECT count(*) > 0 FROM bge_models", "SELECT bge_unload('m')"]
SHOWN = "2\n3\nm\n1\n1\n"


def test_nothing_is_printed_but_results():
    done = sqlite3(*BULK)
    assert (done.stdout, done.stderr, done.returncode) == (SHOWN, "", 0)


def test_no_socket_is_opened_and_no_file_written(tmp_path):
    seen = Traced(shell_command(*BULK), tmp_path)
    assert seen.done.stdout == SHOWN
    assert seen.opened("tokenizer.json") and seen.sockets() == [] and seen.writes() == []
