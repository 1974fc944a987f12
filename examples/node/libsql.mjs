// libsql: npm install libsql. A local file or memory; a database on a server cannot load extensions.
import { run } from './search.mjs';
import Database from 'libsql';
import { load } from 'sqlite-bge';

const db = new Database(':memory:');
load(db);
run(db, process.argv.slice(2));
