/**
 * The claim of one process on a data root. The lock is a lock of the kernel (through SQLite's locking), so it
 * ends with the process however that dies, and a file beside it tells whose root it is.
 */
import { mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import { DatabaseSync } from 'node:sqlite';
import { systemErrorCode } from '../../core/errors.ts';
import type { Layout } from './layout.ts';

interface Identity {
  readonly instance_id: string;
  readonly format: number;
}

const FORMAT = 1;

/**
 * Creates the root's layout and takes it for `instanceId` until disposed.
 * @throws Error with one line for the operator when the root is in use, belongs to another instance or cannot be written
 */
export async function claimDataRoot(layout: Layout, instanceId: string): Promise<Disposable> {
  try {
    for (const folder of [layout.staging, layout.longNames, layout.lostAndFound])
      await mkdir(folder, { recursive: true });
  } catch (error) {
    throw new Error(`The data root ${layout.root} cannot be written (${systemErrorCode(error) ?? 'unknown error'}).`, {
      cause: error,
    });
  }
  const lock = takeLock(layout);
  try {
    await assertIdentity(layout, instanceId);
  } catch (error) {
    lock[Symbol.dispose]();
    throw error;
  }
  return lock;
}

function takeLock(layout: Layout): Disposable {
  const database = new DatabaseSync(layout.lock, { timeout: 0 });
  try {
    database.exec('PRAGMA journal_mode = DELETE; PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE');
  } catch (error) {
    database.close();
    throw new Error(`The data root ${layout.root} is in use by another running instance.`, { cause: error });
  }
  return { [Symbol.dispose]: () => database.close() };
}

async function assertIdentity(layout: Layout, instanceId: string): Promise<void> {
  const identity = await readIdentity(layout);
  if (identity === undefined) {
    const written: Identity = { instance_id: instanceId, format: FORMAT };
    await writeFile(`${layout.identity}.new`, `${JSON.stringify(written)}\n`, { flush: true });
    await rename(`${layout.identity}.new`, layout.identity);
    return;
  }
  if (identity.instance_id !== instanceId) {
    throw new Error(
      `The data root ${layout.root} belongs to instance ${identity.instance_id}, this is ${instanceId}: ` +
        'set instance_discovery.instance_id or backend.localfs_root_path.',
    );
  }
  if (identity.format !== FORMAT) {
    throw new Error(`The data root ${layout.root} has format ${identity.format}; this version knows format ${FORMAT}.`);
  }
}

async function readIdentity(layout: Layout): Promise<Identity | undefined> {
  try {
    return JSON.parse(await readFile(layout.identity, 'utf8')) as Identity;
  } catch (error) {
    if (systemErrorCode(error) === 'ENOENT') return undefined;
    throw new Error(`The file ${layout.identity} cannot be read.`, { cause: error });
  }
}
