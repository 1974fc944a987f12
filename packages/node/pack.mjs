// Makes the npm tarballs: node packages/node/pack.mjs --dist DIST --into FOLDER [--arm64 DIST_OF_AARCH64]
//
// A platform package is the library and the runtime of a dist folder with its licences. The main package
// is JavaScript and the catalogue. Each is put together in target/npm/ and packed by npm.

import { execFileSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, readFileSync, rmSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

const HERE = dirname(fileURLToPath(import.meta.url));
const ROOT = resolve(HERE, '..', '..');
const MAIN = 'sqlite-bge';

function crateVersion() {
  const [, version] = readFileSync(join(ROOT, 'Cargo.toml'), 'utf8').match(/^version = "(.+)"$/m);
  return version;
}

/** Every version in a manifest is the crate's: the main package asks for just its own libraries. */
function checkVersions(name, manifest) {
  const wanted = crateVersion();
  for (const [what, version] of Object.entries({ [name]: manifest.version, ...manifest.optionalDependencies })) {
    if (version !== wanted) {
      throw new Error(`packages/node/${name}/package.json has ${what} ${version}, Cargo.toml has ${wanted}`);
    }
  }
}

/** Copies [source, name in the package] pairs together and packs them; gives the tarball's path. */
function pack(name, files, into) {
  const stage = join(ROOT, 'target', 'npm', name);
  rmSync(stage, { recursive: true, force: true });
  cpSync(join(HERE, name), stage, { recursive: true });
  for (const [source, file] of [...files, ...['MIT', 'APACHE'].map((l) => [join(ROOT, `LICENSE-${l}`), `LICENSE-${l}`])]) {
    if (!existsSync(source)) throw new Error(`${source}, which ${name} needs, is missing: \`make build\` makes it`);
    cpSync(source, join(stage, file), { recursive: true });
  }
  checkVersions(name, JSON.parse(readFileSync(join(stage, 'package.json'), 'utf8')));
  mkdirSync(into, { recursive: true });
  const command = ['pack', '--json', '--pack-destination', into];
  const [{ filename }] = JSON.parse(execFileSync('npm', command, { cwd: stage, encoding: 'utf8' }));
  return join(into, filename);
}

function platformFiles(dist) {
  const files = ['libbge.so', 'libonnxruntime.so', 'licenses'].map((file) => [join(dist, file), file]);
  return [...files, [join(HERE, 'bge-install.json'), 'bge-install.json']];
}

const { values } = parseArgs({ options: { dist: { type: 'string' }, into: { type: 'string' }, arm64: { type: 'string' } } });
if (!values.dist || !values.into) throw new Error('usage: pack.mjs --dist DIST --into FOLDER [--arm64 DIST]');
const into = resolve(values.into);
console.log(pack(MAIN, [[join(ROOT, 'src', 'engine', 'catalog.json'), 'catalog.json']], into));
console.log(pack(`${MAIN}-linux-x64`, platformFiles(resolve(values.dist)), into));
if (values.arm64) console.log(pack(`${MAIN}-linux-arm64`, platformFiles(resolve(values.arm64)), into));
