// better-sqlite3: npm install better-sqlite3
import Database from 'better-sqlite3';
import { load } from 'sqlite-bge';
import { run } from './search.mjs';

const db = new Database(':memory:');
load(db);
run(db, process.argv.slice(2));
