/* Loads the extension at run time.
 *
 *   cc loaded.c -o loaded -lsqlite3 && ./loaded path/to/libbge.so
 */
#include "search.h"

int main(int argc, char **argv) {
    if (argc < 2) {
        fprintf(stderr, "usage: %s path/to/libbge.so [TEXT...]\n", argv[0]);
        return 2;
    }
    sqlite3 *db;
    char *message = NULL;
    if (sqlite3_open(":memory:", &db) != SQLITE_OK) return fail(db, "opening");
    /* For this function alone; sqlite3_enable_load_extension would let SQL load libraries, too. */
    sqlite3_db_config(db, SQLITE_DBCONFIG_ENABLE_LOAD_EXTENSION, 1, NULL);
    if (sqlite3_load_extension(db, argv[1], NULL, &message) != SQLITE_OK) {
        fprintf(stderr, "loading: %s\n", message);
        return 1;
    }
    int failed = show(db, argc - 2, argv + 2);
    sqlite3_close(db);
    return failed;
}
