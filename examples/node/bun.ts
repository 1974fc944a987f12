// bun:sqlite, on Linux. (On macOS bun uses Apple's SQLite, which loads no extensions:
// Database.setCustomSQLite names another one.)
import { run } from './search.mjs';
import { Database } from 'bun:sqlite';
import { load } from 'sqlite-bge';

const db = new Database(':memory:');
load(db);
run(db, process.argv.slice(2));
