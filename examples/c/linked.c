/* Links the extension into a program, beside another extension, and registers both for every connection.
 *
 * The static library comes from Cargo, without the feature `loadable`: so it has just the entry point
 * sqlite3_bge_init, and not sqlite3_extension_init, which two extensions would both have.
 *
 *   cargo rustc --release --lib --crate-type staticlib
 *   cc linked.c -o linked target/release/libbge.a -lsqlite3 -lm -lpthread -ldl
 *
 * ONNX Runtime is opened when a text is first embedded: libonnxruntime.so and models/ are looked for beside
 * the program.
 */
#include "search.h"

/* The routines that SQLite hands to an extension; a program that has SQLite linked in need not look at them. */
struct sqlite3_api_routines;

/* Of libbge.a. Every extension's entry point has this shape. */
int sqlite3_bge_init(sqlite3 *db, char **error, const struct sqlite3_api_routines *api);

/* The other extension: a function half(x). */
static void half(sqlite3_context *context, int count, sqlite3_value **values) {
    (void)count;
    sqlite3_result_double(context, sqlite3_value_double(values[0]) / 2);
}

static int half_init(sqlite3 *db, char **error, const struct sqlite3_api_routines *api) {
    (void)error, (void)api;
    return sqlite3_create_function(db, "half", 1, SQLITE_UTF8 | SQLITE_DETERMINISTIC, NULL, half, NULL, NULL);
}

int main(int argc, char **argv) {
    /* Before the first connection is opened. SQLite declares the argument without the parameters. */
    sqlite3_auto_extension((void (*)(void))half_init);
    sqlite3_auto_extension((void (*)(void))sqlite3_bge_init);

    sqlite3 *db;
    if (sqlite3_open(":memory:", &db) != SQLITE_OK) return fail(db, "opening");
    if (sqlite3_exec(db, "SELECT half(3), bge_version()", NULL, NULL, NULL) != SQLITE_OK) return fail(db, "trying both");
    int failed = show(db, argc - 1, argv + 1);
    sqlite3_close(db);
    return failed;
}
