/**
 * The claim of one process on a data root. The lock is a lock of the kernel (through SQLite's locking), so it
 * ends with the process however that dies, and a file beside it tells whose root it is.
 */
import { mkdir, readFile, realpath, rename, writeFile } from 'node:fs/promises';
import { DatabaseSync } from 'node:sqlite';
import { systemErrorCode } from '../../core/errors.ts';
import type { Layout } from './layout.ts';

interface Identity {
  readonly instance_id: string;
  readonly format: number;
}

const FORMAT = 1;
const SQLITE_BUSY = 5;

/** The root without symbolic links, made if need be: what lies in it can then be told from what only seems to. */
export async function canonicalRoot(root: string): Promise<string> {
  try {
    await mkdir(root, { recursive: true });
    return await realpath(root);
  } catch (error) {
    throw new Error(`The data root ${root} cannot be written (${systemErrorCode(error) ?? 'unknown error'}).`, {
      cause: error,
    });
  }
}

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

/**
 * Takes a root that exists, without creating anything in it.
 * @returns undefined when a running instance has it
 */
export function claimExistingRoot(layout: Layout): Disposable | undefined {
  try {
    return takeLock(layout);
  } catch (error) {
    const cause = error instanceof Error ? error.cause : undefined;
    if (cause instanceof Error && 'errcode' in cause && cause.errcode === SQLITE_BUSY) return undefined;
    throw error;
  }
}

/** @throws Error with one line for the operator unless this is, at this moment, the root of `instanceId` */
export async function assertOwnRoot(layout: Layout, instanceId: string): Promise<void> {
  const identity = await readIdentity(layout);
  if (identity === undefined) {
    throw new Error(
      `The folder ${layout.root} is not the data root of an instance: it has no .callfs/instance.json. ` +
        'Is the disk mounted, and backend.localfs_root_path right?',
    );
  }
  assertFits(layout, identity, instanceId);
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
  assertFits(layout, identity, instanceId);
}

function assertFits(layout: Layout, identity: Identity, instanceId: string): void {
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
