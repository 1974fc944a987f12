/* What both programs of this folder do with a connection that has the extension: the SQL. */
#ifndef SEARCH_H
#define SEARCH_H
#include <stdio.h>
#include <string.h>
#include <sqlite3.h>

static int fail(sqlite3 *db, const char *what) {
    fprintf(stderr, "%s: %s\n", what, sqlite3_errmsg(db));
    return 1;
}

/* Makes a small index and prints the two pages that are nearest to a question. */
static int search(sqlite3 *db) {
    const char *setup =
        "CREATE TABLE pages(id INTEGER PRIMARY KEY, title TEXT, body TEXT);"
        "CREATE VIRTUAL TABLE pages_bge USING bge(title, body, content='pages');"
        "INSERT INTO pages(title, body) VALUES"
        "  ('Router', 'Hold the small button for ten seconds to restore the factory settings.'),"
        "  ('Invoice', 'You can download last month''s bill from the payments page.'),"
        "  ('Holidays', 'Requests for days off go to your team lead two weeks ahead.');"
        /* Triggers note what changes in the table; this embeds it. */
        "SELECT bge_sync('pages_bge');";
    if (sqlite3_exec(db, setup, NULL, NULL, NULL) != SQLITE_OK) return fail(db, "making the index");

    const char *nearest =
        "SELECT p.title, s.score FROM pages_bge(?) AS s JOIN pages AS p ON p.id = s.rowid "
        "ORDER BY s.distance LIMIT 2";
    sqlite3_stmt *statement;
    if (sqlite3_prepare_v2(db, nearest, -1, &statement, NULL) != SQLITE_OK) return fail(db, "preparing");
    sqlite3_bind_text(statement, 1, "how do I reset my device?", -1, SQLITE_STATIC);
    while (sqlite3_step(statement) == SQLITE_ROW)
        printf("%s %.2f\n", sqlite3_column_text(statement, 0), sqlite3_column_double(statement, 1));
    /* An error of the last step is given again here. */
    return sqlite3_finalize(statement) == SQLITE_OK ? 0 : fail(db, "searching");
}

/* Prints a text's vector as JSON. A vector is a BLOB of little-endian 32-bit floats. */
static int print_vector(sqlite3 *db, const char *text) {
    sqlite3_stmt *statement;
    if (sqlite3_prepare_v2(db, "SELECT bge_embed(?)", -1, &statement, NULL) != SQLITE_OK)
        return fail(db, "preparing");
    sqlite3_bind_text(statement, 1, text, -1, SQLITE_STATIC);
    if (sqlite3_step(statement) == SQLITE_ROW) {
        const char *blob = sqlite3_column_blob(statement, 0);
        int count = sqlite3_column_bytes(statement, 0) / (int)sizeof(float);
        for (int i = 0; i < count; i++) {
            float component; /* copied: a blob need not be aligned for floats */
            memcpy(&component, blob + i * sizeof component, sizeof component);
            printf("%s%.9g", i == 0 ? "[" : ",", component);
        }
        puts("]");
    }
    return sqlite3_finalize(statement) == SQLITE_OK ? 0 : fail(db, "embedding");
}

/* With texts: their vectors. Without: the search. */
static int show(sqlite3 *db, int count, char **texts) {
    if (count == 0) return search(db);
    int failed = 0;
    for (int i = 0; i < count && !failed; i++) failed = print_vector(db, texts[i]);
    return failed;
}
#endif
