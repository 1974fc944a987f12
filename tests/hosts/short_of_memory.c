/* A host that runs out of memory: a session in SQL, in which every allocation of SQLite's fails once.
 *
 *   short_of_memory LIBRARY SCRIPT ENTRY every|some
 *
 * SCRIPT has one statement a line; "-- load" loads the extension. Each statement is run to its end in
 * a process of its own for every allocation it makes: that one fails ("once"), or all from that one on
 * ("on"). The statement may then fail or give its right result, and nothing else; run again with all
 * the memory there is it must give its right result, as must all statements after it, and the database
 * must be whole. "some" tries the first 60 allocations of each statement and ever fewer after them, and
 * looks at three statements afterwards.
 *
 * Says what went wrong, a line each, and at the end "done: S statements, A allocations, R runs, F faults".
 */
#include <sqlite3.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { MOST = 200, FAULT = 3, ENDED = 4 };

static sqlite3_mem_methods real;
static long count, failing, until_end; /* allocations so far; the one to fail, 0 for none */

static int fails(void) {
    count++;
    return failing && (until_end ? count >= failing : count == failing);
}
static void *allocate(int n) { return fails() ? NULL : real.xMalloc(n); }
static void *reallocate(void *p, int n) { return fails() ? NULL : real.xRealloc(p, n); }

/* What a statement gave: its rows as text, or its error. */
typedef struct { int rc; char *text; size_t length, room; } Result;

static void put(Result *r, const char *bytes, size_t n) {
    if (r->length + n + 1 > r->room) {
        r->room = 2 * (r->length + n + 1);
        r->text = realloc(r->text, r->room);
    }
    memcpy(r->text + r->length, bytes, n);
    r->length += n;
    r->text[r->length] = 0;
}

static void step_all(sqlite3_stmt *s, Result *r) {
    while ((r->rc = sqlite3_step(s)) == SQLITE_ROW) {
        for (int i = 0; i < sqlite3_column_count(s); i++) {
            int type = sqlite3_column_type(s, i);
            const char *text = type == SQLITE_NULL ? "NULL" : (const char *)sqlite3_column_text(s, i);
            if (!text && type != SQLITE_BLOB) { r->rc = SQLITE_NOMEM; return; }
            if (text) put(r, text, type == SQLITE_NULL ? 4 : (size_t)sqlite3_column_bytes(s, i));
            put(r, i + 1 < sqlite3_column_count(s) ? "|" : "\n", 1);
        }
    }
    if (r->rc == SQLITE_DONE) r->rc = SQLITE_OK;
}

static const char *library, *entry;
static int sparing;

static Result run(sqlite3 *db, const char *sql) {
    Result r = {0, NULL, 0, 0};
    put(&r, "", 0);
    if (strcmp(sql, "-- load") == 0) {
        char *message = NULL;
        r.rc = sqlite3_load_extension(db, library, *entry ? entry : NULL, &message);
        if (r.rc && message) put(&r, message, strlen(message));
        sqlite3_free(message);
        return r;
    }
    sqlite3_stmt *s = NULL;
    r.rc = sqlite3_prepare_v2(db, sql, -1, &s, NULL);
    if (r.rc == SQLITE_OK && s) step_all(s, &r);
    if (r.rc != SQLITE_OK) {
        const char *message = sqlite3_errmsg(db);
        r.length = 0;
        put(&r, message, strlen(message));
    }
    sqlite3_finalize(s);
    return r;
}

static char *script[MOST];
static Result expected[MOST];
static int transaction[MOST]; /* the BEGIN of the transaction that the statement is in, 0 for none */
static int statements;

static int same(const Result *r, int i) {
    return r->rc == SQLITE_OK && r->length == expected[i].length && !memcmp(r->text, expected[i].text, r->length);
}

static int fault(int i, long n, const char *format, ...) {
    va_list rest;
    printf("%s %ld of \"%.60s\": ", until_end ? "on" : "once", n, script[i]);
    va_start(rest, format);
    vprintf(format, rest);
    va_end(rest);
    printf("\n");
    fflush(stdout);
    return FAULT;
}

/* The child's work: statement i with allocation n failing, and what must hold afterwards. */
static int try_one(sqlite3 *db, int i, long n) {
    alarm(60);
    count = 0;
    failing = n;
    Result r = run(db, script[i]);
    failing = 0;
    if (count < n) return ENDED;
    int next = r.rc == SQLITE_OK ? i + 1 : i;
    /* SQLite may end a transaction that runs out of memory: then it is begun again. */
    if (transaction[i] && sqlite3_get_autocommit(db) && r.rc != SQLITE_OK) next = transaction[i];
    if (r.rc == SQLITE_OK && !same(&r, i)) return fault(i, n, "a wrong result: %.300s", r.text);
    int last = sparing && next + 3 < statements ? next + 3 : statements;
    for (int k = next; k < last; k++) {
        Result again = run(db, script[k]);
        if (!same(&again, k))
            return fault(i, n, "error %d (%s), and then \"%.60s\" gives %d: %.300s", r.rc, r.rc ? r.text : "",
                         script[k], again.rc, again.text);
    }
    Result whole = run(db, "PRAGMA integrity_check");
    if (whole.rc != SQLITE_OK || strcmp(whole.text, "ok\n")) return fault(i, n, "then: %.300s", whole.text);
    return sqlite3_close(db) == SQLITE_OK ? 0 : fault(i, n, "the connection does not close");
}

static sqlite3 *open_one(void) {
    sqlite3 *db;
    if (sqlite3_open(":memory:", &db) || sqlite3_enable_load_extension(db, 1)) exit(9);
    return db;
}

static void read_script(const char *path) {
    static char line[1 << 16];
    FILE *file = fopen(path, "r");
    if (!file) exit(9);
    int begun = 0;
    while (fgets(line, sizeof line, file) && statements < MOST) {
        line[strcspn(line, "\n")] = 0;
        if (!*line || (!strncmp(line, "--", 2) && strcmp(line, "-- load"))) continue;
        if (!strcmp(line, "BEGIN")) begun = statements;
        transaction[statements] = begun;
        if (!strcmp(line, "COMMIT")) begun = 0;
        script[statements++] = strdup(line);
    }
    fclose(file);
}

int main(int argc, char **argv) {
    if (argc != 5) return 9;
    library = argv[1];
    entry = argv[3];
    sparing = !strcmp(argv[4], "some");
    long allocations = 0, runs = 0, faults = 0;
    sqlite3_config(SQLITE_CONFIG_GETMALLOC, &real);
    sqlite3_mem_methods ours = real;
    ours.xMalloc = allocate;
    ours.xRealloc = reallocate;
    sqlite3_config(SQLITE_CONFIG_MALLOC, &ours);
    sqlite3_config(SQLITE_CONFIG_LOOKASIDE, 0, 0);
    read_script(argv[2]);
    sqlite3 *db = open_one();
    for (int i = 0; i < statements; i++) {
        expected[i] = run(db, script[i]);
        if (expected[i].rc != SQLITE_OK) {
            printf("with all the memory there is, \"%s\" gives: %s\n", script[i], expected[i].text);
            return 1;
        }
    }
    sqlite3_close(db);
    db = open_one();
    for (int i = 0; i < statements; i++) {
        for (until_end = 0; until_end < 2; until_end++) {
            int ended = 0;
            for (long n = 1; !ended; n += 1 + (sparing && n > 60 ? n / 6 : 0)) {
                int status;
                fflush(stdout);
                pid_t child = fork();
                if (child == 0) _exit(try_one(db, i, n));
                waitpid(child, &status, 0);
                runs++;
                if (WIFSIGNALED(status)) {
                    fault(i, n, "signal %d", WTERMSIG(status));
                    faults++;
                } else if (WEXITSTATUS(status) == ENDED) {
                    ended = 1;
                } else if (WEXITSTATUS(status)) {
                    faults++;
                }
            }
        }
        count = 0;
        Result r = run(db, script[i]);
        allocations += count;
        if (!same(&r, i)) return 1;
    }
    printf("done: %d statements, %ld allocations, %ld runs, %ld faults\n", statements, allocations, runs, faults);
    return 0;
}
