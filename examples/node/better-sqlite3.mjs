// better-sqlite3: npm install better-sqlite3 (its release 13 needs Node 22 or later, 12 works with Node 20)
import { run } from './search.mjs';
import Database from 'better-sqlite3';
import { load } from 'sqlite-bge';

const db = new Database(':memory:');
load(db);
run(db, process.argv.slice(2));
