// libsql: npm install libsql. A local file or memory; a database on a server cannot load extensions.
import Database from 'libsql';
import { load } from 'sqlite-bge';
import { run } from './search.mjs';

const db = new Database(':memory:');
load(db);
run(db, process.argv.slice(2));
