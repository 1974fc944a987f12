// Finds the extension's library and loads it into a connection. Nothing here downloads anything.
'use strict';

const path = require('node:path');
const { version } = require('./package.json');

// What npm can install; each is a package of its own, so that nobody gets the others' libraries.
const LIBRARIES = { 'linux-x64': 'libbge.so', 'linux-arm64': 'libbge.so' };

function getLoadablePath() {
  const platform = `${process.platform}-${process.arch}`;
  const library = LIBRARIES[platform];
  if (library === undefined) {
    throw new Error(
      `sqlite-bge has no library for ${platform}; it has ${Object.keys(LIBRARIES).join(' and ')}. ` +
        'Elsewhere it must be built from its sources, and loaded by its path: db.loadExtension(path)',
    );
  }
  const name = `sqlite-bge-${platform}`;
  let manifest;
  try {
    manifest = require.resolve(`${name}/package.json`);
  } catch (cause) {
    throw new Error(
      `the package ${name}, which holds the library for this platform, is not installed: either npm was told ` +
        'to leave optional dependencies out, or node_modules comes from another platform. ' +
        `A way out: npm install ${name}@${version}`,
      { cause },
    );
  }
  return path.join(path.dirname(manifest), library);
}

function load(db) {
  if (typeof db?.loadExtension !== 'function') {
    throw new TypeError(
      `load() got ${describe(db)}, expected an open connection with a method loadExtension, as those of ` +
        'node:sqlite, better-sqlite3, bun:sqlite and libsql have',
    );
  }
  const library = getLoadablePath();
  try {
    db.loadExtension(library);
  } catch (cause) {
    throw new Error(`${library} was not loaded: ${cause.message}${wayOut(cause)}`, { cause });
  }
}

function describe(value) {
  if (value === null || typeof value !== 'object') return String(value);
  return `an object of class ${value.constructor?.name ?? '(none)'}`;
}

function wayOut(cause) {
  if (cause.code === 'ERR_INVALID_STATE' && /not allowed/.test(cause.message)) {
    return '; open the database with new DatabaseSync(file, { allowExtension: true })';
  }
  if (process.platform === 'linux' && isMusl()) {
    return '; this system has musl, and the library needs glibc 2.28 or later (Debian, Ubuntu, Fedora and most others)';
  }
  return '';
}

// Node and bun report the C library's version where it is glibc.
function isMusl() {
  const header = process.report?.getReport?.()?.header;
  return header !== undefined && header.glibcVersionRuntime === undefined;
}

module.exports = { getLoadablePath, load };
