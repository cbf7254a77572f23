/**
 * The claim of one process on a data root. The lock is a lock of the kernel (through SQLite's locking), so it
 * ends with the process however that dies, and a file beside it tells whose root it is. That very file must be
 * there as long as the process works: a disk that is not mounted any more leaves an empty folder, and a copy of the
 * root is not the root.
 */
import { constants } from 'node:fs';
import { access, mkdir, readFile, realpath, rename, stat, writeFile } from 'node:fs/promises';
import { DatabaseSync } from 'node:sqlite';
import { backendUnavailable, type CallFSError, systemErrorCode } from '../../core/errors.ts';
import { isAbsent } from './descriptor.ts';
import type { Layout } from './layout.ts';
import { stampOf } from './stamp.ts';

interface Identity {
  readonly instance_id: string;
  readonly format: number;
}

const FORMAT = 1;
const SQLITE_BUSY = 5;

export interface ClaimedRoot extends Disposable {
  /**
   * To be asked before something is concluded from what is missing, and before something is promised.
   * @throws CallFSError BACKEND_UNAVAILABLE unless the root that was claimed is, at this moment, at its path; the same
   * error until it is back
   */
  assertPresent(): Promise<void>;
}

/**
 * To be asked before anything is created: an empty folder where files are expected is a disk that is not mounted.
 * @param holdsFiles whether the namespace has files that must lie in this root
 * @throws Error with one line for the operator
 */
export async function assertExpected(
  layout: Layout,
  instanceId: string,
  holdsFiles: () => Promise<boolean>,
): Promise<void> {
  if ((await readIdentity(layout)) !== undefined || !(await holdsFiles())) return;
  throw new Error(
    `The data root ${layout.root} has no .callfs/instance.json, but the namespace has files of ${instanceId}: is the disk ` +
      `mounted? To start although they are gone, first write ${identityText(instanceId)} to that file.`,
  );
}

/** The root without symbolic links, made if need be: what lies in it can then be told from what only seems to. */
export async function canonicalRoot(root: string): Promise<string> {
  try {
    await mkdir(root, { recursive: true });
    return await realpath(root);
  } catch (error) {
    throw notWritable(root, error);
  }
}

/**
 * Creates the root's layout and takes it for `instanceId` until disposed.
 * @throws Error with one line for the operator when the root is in use, belongs to another instance or cannot be written
 */
export async function claimDataRoot(layout: Layout, instanceId: string): Promise<ClaimedRoot> {
  try {
    for (const folder of [layout.staging, layout.longNames, layout.lostAndFound])
      await mkdir(folder, { recursive: true });
    // Folders that are there already say nothing about a disk that was mounted read-only.
    for (const folder of [layout.root, layout.internal, layout.staging])
      await access(folder, constants.W_OK | constants.X_OK);
  } catch (error) {
    throw notWritable(layout.root, error);
  }
  const lock = takeLock(layout);
  try {
    await assertIdentity(layout, instanceId);
    return new Claim(layout, lock, stampOf(await stat(layout.identity)));
  } catch (error) {
    lock[Symbol.dispose]();
    throw error;
  }
}

class Claim implements ClaimedRoot {
  readonly #layout: Layout;
  readonly #lock: Disposable;
  /** Of the file that tells whose root it is. Not its device: that may be another one after a mount. */
  readonly #stamp: string;
  #absence: CallFSError | undefined;

  constructor(layout: Layout, lock: Disposable, stamp: string) {
    this.#layout = layout;
    this.#lock = lock;
    this.#stamp = stamp;
  }

  async assertPresent(): Promise<void> {
    const problem = await this.#findProblem();
    if (problem === undefined) {
      this.#absence = undefined;
      return;
    }
    this.#absence ??= backendUnavailable(
      'The data root of the instance that keeps this content is not there.',
      problem,
    );
    throw this.#absence;
  }

  async #findProblem(): Promise<Error | undefined> {
    const { root, identity } = this.#layout;
    try {
      if (stampOf(await stat(identity)) === this.#stamp) return undefined;
      return new Error(`${root} is another folder than the one that this process started with.`);
    } catch (error) {
      const code = systemErrorCode(error) ?? 'unknown error';
      return new Error(`${identity} is not there (${code}); is the disk mounted?`, { cause: error });
    }
  }

  [Symbol.dispose](): void {
    this.#lock[Symbol.dispose]();
  }
}

function notWritable(root: string, error: unknown): Error {
  const code = systemErrorCode(error) ?? 'unknown error';
  return new Error(`The data root ${root} cannot be written (${code}).`, { cause: error });
}

/**
 * Takes a root that exists, without creating anything in it.
 * @returns undefined when a running instance has it
 */
export function claimExistingRoot(layout: Layout): Disposable | undefined {
  try {
    return takeLock(layout);
  } catch (error) {
    if (error instanceof Error && isBusy(error.cause)) return undefined;
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
  let database: DatabaseSync | undefined;
  try {
    database = new DatabaseSync(layout.lock, { timeout: 0 });
    database.exec('PRAGMA journal_mode = DELETE; PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE');
  } catch (error) {
    database?.close();
    const reason = error instanceof Error ? error.message : String(error);
    throw new Error(
      isBusy(error)
        ? `The data root ${layout.root} is in use by another running instance.`
        : `The data root ${layout.root} cannot be locked: ${layout.lock}: ${reason}.`,
      { cause: error },
    );
  }
  const locked = database;
  return { [Symbol.dispose]: () => locked.close() };
}

function isBusy(error: unknown): boolean {
  return error instanceof Error && 'errcode' in error && error.errcode === SQLITE_BUSY;
}

async function assertIdentity(layout: Layout, instanceId: string): Promise<void> {
  const identity = await readIdentity(layout);
  if (identity === undefined) {
    await writeFile(`${layout.identity}.new`, `${identityText(instanceId)}\n`, { flush: true });
    await rename(`${layout.identity}.new`, layout.identity);
    return;
  }
  assertFits(layout, identity, instanceId);
}

function identityText(instanceId: string): string {
  const identity: Identity = { instance_id: instanceId, format: FORMAT };
  return JSON.stringify(identity);
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
    if (isAbsent(error)) return undefined;
    throw new Error(`The file ${layout.identity} cannot be read.`, { cause: error });
  }
}
