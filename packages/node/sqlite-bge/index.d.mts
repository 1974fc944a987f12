/**
 * An open connection that can load extensions: `DatabaseSync` of node:sqlite (opened with
 * `allowExtension: true`), `Database` of better-sqlite3, of bun:sqlite and of libsql.
 */
export interface Connection {
  loadExtension(path: string): unknown;
}

/**
 * The absolute path of the extension for this platform, to be given to `loadExtension`.
 * @throws {Error} where sqlite-bge has no library for this platform, or its package is not installed.
 */
export declare function getLoadablePath(): string;

/**
 * Loads the extension into a connection. It never downloads: a model is fetched beforehand by
 * `npx sqlite-bge download`, and is opened by the first function that embeds.
 * @throws {TypeError} where `db` has no `loadExtension`.
 * @throws {Error} where the library is not there, or the host refuses to load it; `cause` is the host's error.
 */
export declare function load(db: Connection): void;
