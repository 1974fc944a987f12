#!/usr/bin/env node
// The command `sqlite-bge`. It fetches models; everything else is done in SQL.

import { parseArgs } from 'node:util';
import { createRequire } from 'node:module';
import { download, Failure, MODELS, Stopped } from './download.mjs';
import { getLoadablePath } from './index.mjs';

const { version } = createRequire(import.meta.url)('./package.json');
const DEFAULT_MODEL = 'bge-small-en-v1.5';
const USAGE = `usage: sqlite-bge download [MODEL]   fetch a model (default: ${DEFAULT_MODEL}) to where the extension finds it
       sqlite-bge path               print the path of the extension for this platform
       sqlite-bge --version

HF_HUB_CACHE, HF_HOME, HF_ENDPOINT, HF_TOKEN and HF_HUB_OFFLINE mean what they mean to Hugging Face's tools.
Models: ${MODELS.map((model) => model.name).join(', ')}`;

class Misuse extends Error {}

function parse(argv) {
  try {
    return parseArgs({
      args: argv,
      allowPositionals: true,
      options: { help: { type: 'boolean', short: 'h' }, version: { type: 'boolean' } },
    });
  } catch (error) {
    throw new Misuse(error.message);
  }
}

/** Ctrl-C and kill stop a download in order: what is half there is removed, or left for the next try. */
function stopSignal() {
  const stop = new AbortController();
  for (const name of ['SIGINT', 'SIGTERM']) process.once(name, () => stop.abort());
  return stop.signal;
}

async function main(argv) {
  const { values, positionals } = parse(argv);
  const [command, ...rest] = positionals;
  if (values.help) return console.log(USAGE);
  if (values.version) return console.log(version);
  if (command === 'path' && rest.length === 0) return console.log(getLoadablePath());
  if (command === 'download' && rest.length <= 1) {
    return console.log(await download(rest[0] ?? DEFAULT_MODEL, stopSignal()));
  }
  throw new Misuse(command === undefined ? 'no command was given' : `'${positionals.join(' ')}' is no command`);
}

try {
  await main(process.argv.slice(2));
} catch (error) {
  process.exitCode = error instanceof Misuse ? 2 : error instanceof Stopped ? 130 : 1;
  if (error instanceof Misuse) console.error(`sqlite-bge: ${error.message}\n${USAGE}`);
  else if (error instanceof Failure || error instanceof Stopped) console.error(`sqlite-bge: ${error.message}`);
  else console.error(`sqlite-bge: ${error.stack}`);
}
