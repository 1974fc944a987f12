// node:sqlite, in Node 22.13 or later. A connection loads extensions only if it is told when it is opened.
import { run } from './search.mjs';
import { DatabaseSync } from 'node:sqlite';
import { load } from 'sqlite-bge';

const db = new DatabaseSync(':memory:', { allowExtension: true });
load(db);
run(db, process.argv.slice(2));
