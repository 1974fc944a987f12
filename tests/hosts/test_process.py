"""What one process may do with the extension: threads, many cycles, fork, and its end."""

from support import connect, embed, run_python, shell_command, sqlite3, tiny_golden

TEXT = tiny_golden()[1]["text"]


def test_load_embed_close_200_times_leaks_nothing():
    run_python("""
import gc
def now():
    status = dict(line.split(":", 1) for line in open("/proc/self/status"))
    return int(status["Threads"]), int(status["VmRSS"].split()[0]) / 1024
def cycle(i):
    connection = connect()
    for text in ("the same", f"another {i}"):
        assert len(embed(connection, text)) == 128
    value(connection, "SELECT bge_cosine(?, ?)", blob(1, 2), blob(3, 4))
    failure(connection, "SELECT bge_cosine(1, 2)")
    connection.close()
    gc.collect()
for i in range(20):
    cycle(i)
threads, memory = now()
for i in range(200):
    cycle(20 + i)
assert now()[0] == threads, (threads, now())
assert now()[1] < memory + 5, (memory, now())
""")


def test_a_million_calls_leak_nothing():
    """Auxiliary data, error messages and results are all given back."""
    run_python("""
def memory():
    return int(open("/proc/self/statm").read().split()[1]) * 4096 / 2**20
db = connect()
rows = "WITH RECURSIVE n(value) AS (SELECT 1 UNION ALL SELECT value + 1 FROM n LIMIT 100000) SELECT value FROM n"
def work():
    value(db, f"SELECT sum(bge_dims(bge_normalize(bge_from_json('[' || value || ',2]')))) FROM ({rows})")
    value(db, f"SELECT sum(CASE WHEN value THEN bge_cosine(?, bge_embed('a', 'tiny-bert')) END) FROM ({rows})",
          blob(*range(32)))
    for i in range(500):
        failure(db, "SELECT bge_from_json(?)", "[" + "1," * 1000)
        value(db, "SELECT bge_cosine(?, ?)", blob(*range(384)), blob(*range(384)))
work()
before = memory()
for _ in range(5):
    work()
assert memory() < before + 5, (before, memory())
""")


def test_sixteen_threads_that_call_first_share_one_load():
    run_python("""
import threading
gate = threading.Barrier(16)
vectors, errors = [], []
def first_call():
    try:
        connection = connect()
        gate.wait()
        vectors.append(embed(connection, "how do i reset it"))
        assert len(loaded(connection)) == 1
    except BaseException as error:
        errors.append(error)
threads = [threading.Thread(target=first_call) for _ in range(16)]
[t.start() for t in threads]
[t.join() for t in threads]
assert errors == [] and len(vectors) == 16 and len(set(vectors)) == 1
[model] = loaded(connect()).values()
assert model["name"] == TINY and 1 <= model["inferences"] <= 16
assert model["cache"]["hits"] + model["cache"]["misses"] == 16
""")


def test_threads_with_different_texts_get_the_vectors_of_a_single_caller():
    run_python("""
import threading
texts = [f"text number {i} " * (1 + i * 7 % 40) for i in range(64)]
found = {}
def work(mine):
    connection = connect()
    for text in mine:
        found[text] = embed(connection, text)
threads = [threading.Thread(target=work, args=(texts[n::8],)) for n in range(8)]
[t.start() for t in threads]
[t.join() for t in threads]
one = connect()
for text in texts:
    alone = value(one, "SELECT bge_embed(?, ?)", text, TINY)
    assert distance(found[text], floats(alone)) < 1e-6
print(len(found))
""")


def test_the_vector_does_not_depend_on_the_number_of_threads():
    """Cores are taken away from a fresh process, so that the runtime has fewer threads."""
    code = """
import os
os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:int(sys.argv[1])])
print(embed(connect(), sys.argv[2]).hex())
"""
    one, all_cores = [bytes.fromhex(run_python(code, cores, TEXT)) for cores in ("1", "1000")]
    from support import distance, floats
    assert distance(one, floats(all_cores)) < 1e-6


# --- fork ----------------------------------------------------------------------------------------

FORK = """
import os, signal, time

def child(work, seconds=15):
    "Runs work in a forked child; its return value must come back as True in time."
    pid = os.fork()
    if pid == 0:
        signal.alarm(seconds)
        code = 1
        try:
            code = 0 if work() else 2
        except BaseException as error:
            print("child:", error, flush=True)
        finally:
            os._exit(code)
    _, status = os.waitpid(pid, 0)
    return os.waitstatus_to_exitcode(status)
"""


def test_a_forked_child_embeds_as_its_parent():
    run_python(FORK + """
db = connect()
wanted = embed(db, "reset"), embed(db, "password")
def work():
    same = embed(db, "reset") == wanted[0]          # the inherited connection
    return same and embed(connect(), "password") == wanted[1] and len(embed(db, "never seen")) == 128
assert child(work) == 0
assert embed(db, "reset") == wanted[0] and len(embed(db, "not seen either")) == 128
assert child(work) == 0
""")


def test_a_child_of_a_child_embeds():
    run_python(FORK + """
db = connect()
wanted = embed(db, "reset")
inner = lambda: embed(connect(), "reset") == wanted
assert child(lambda: embed(db, "reset") == wanted and child(inner) == 0) == 0
""")


def test_a_child_that_is_the_first_to_embed():
    run_python(FORK + """
db = connect()
assert child(lambda: len(embed(db, "reset")) == 128) == 0
assert len(embed(db, "reset")) == 128
""")


def test_a_child_does_not_use_what_its_parent_has_loaded():
    """It makes its own session: the parent's threads do not exist in it."""
    run_python(FORK + """
db = connect()
embed(db, "reset")
def work():
    before = loaded(db)
    embed(db, "reset")
    return before == {} and loaded(db)[TINY]["inferences"] == 1
assert child(work) == 0
""")


# SQLite's own locks may be held at a fork as well, and so may the loader's, which no extension can
# help. So below the parent's threads run in one copy of SQLite and the child in another, and all
# connections are made before.


def test_fork_while_other_threads_are_embedding():
    run_python(FORK + """
import threading
db = connect()
wanted = embed(db, "reset")
done = threading.Event()
def keep_busy(connection, name):
    n = 0
    while not done.is_set():
        n += 1
        assert connection.value(f"SELECT length(bge_embed('{name} {n}{' word' * 60}', 'tiny-bert'))") == "128"
threads = [threading.Thread(target=keep_busy, args=(SystemSqlite(), f"thread {n}")) for n in range(3)]
[t.start() for t in threads]
results = []
for _ in range(15):
    time.sleep(0.02)
    results.append(child(lambda: embed(db, "reset") == wanted))
done.set()
[t.join() for t in threads]
assert results == [0] * 15, results
assert embed(db, "reset") == wanted
""")


def test_fork_while_another_thread_loads_the_first_model():
    """At the fork locks of the load are held, ONNX Runtime's own among them: the child must not
    wait for them. It embeds, or says in an error what to do. The moment of the fork is swept over
    the time that a first embedding takes."""
    run_python(FORK + """
import threading
def first_embedding():
    return len(embed(connect(), "reset")) == 128
def embeds_or_says_why(connection):
    try:
        return len(embed(connection, "reset")) == 128
    except apsw.SQLError as error:
        return "fork" in str(error)
def fork_after(delay):                              # in a child, so that nothing is loaded yet
    loading, own = SystemSqlite(), connect()
    loads = lambda: loading.value("SELECT length(bge_embed('reset', 'tiny-bert'))")
    thread = threading.Thread(target=loads)
    thread.start()
    time.sleep(delay)
    result = child(lambda: embeds_or_says_why(own), 4)
    thread.join()
    if result:
        print(f"forked after {1000 * delay:.1f} ms: child ended with {result} (-14: it hung)", flush=True)
    return result == 0 and loads() == "128"
start = time.monotonic()
assert child(first_embedding) == 0
whole = time.monotonic() - start
for n in range(60):
    assert child(lambda: fork_after(whole * n / 60), 30) == 0, "a child hung or failed"
""", timeout=200)


# --- the end -------------------------------------------------------------------------------------


def test_a_process_ends_quickly_and_quietly_after_embedding():
    run_python("""
import threading
db = connect()
embed(db, "reset")
thread = threading.Thread(target=lambda: embed(connect(), "from a thread"))
thread.start(); thread.join()
""", timeout=10)


def test_the_shell_ends_in_order_in_every_way():
    embedding = "SELECT length(bge_embed('a', 'tiny-bert'))"
    for commands in ([embedding], [embedding, ".exit"], [embedding, ".quit"], [embedding, ".open x.db?mode=memory"]):
        done = sqlite3(*commands, cwd="/tmp")
        assert (done.returncode, done.stdout, done.stderr) == (0, "128\n", ""), shell_command(*commands)


def test_a_thread_that_ends_while_its_connection_lives(db):
    import threading
    found = []
    thread = threading.Thread(target=lambda: found.append(embed(connect(), TEXT)))
    thread.start()
    thread.join()
    assert found == [embed(db, TEXT)]


def test_no_signal_handler_is_changed():
    """Loading and embedding leave the host's signal handling alone."""
    run_python("""
def masks():
    "Of signals 1 to 31: glibc uses two above them for itself."
    lines = [line.split() for line in open("/proc/self/status") if line.startswith(("SigIgn", "SigCgt", "SigBlk"))]
    return [(name, int(mask, 16) & 0x7fffffff) for name, mask in lines]
before = masks()
embed(connect(), "reset")
assert masks() == before, (before, masks())
""")
