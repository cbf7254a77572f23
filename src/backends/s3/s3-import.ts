/** Objects that lie in the bucket already, under the keys of the paths that they get: they enter the namespace where they are. */
import type { Content, FileEntry } from '../../core/entry.ts';
import { DEFAULT_DIRECTORY_MODE, DEFAULT_FILE_MODE } from '../../core/entry.ts';
import { CallFSError } from '../../core/errors.ts';
import { RESERVED_TOP_LEVEL_NAME, type VirtualPath } from '../../core/virtual-path.ts';
import type {
  ImportBatch,
  ImportFolder,
  ImportLook,
  ImportOutcome,
  ImportSource,
  PathProblem,
} from '../import-source.ts';
import type { BucketLedger } from '../object-ledger.ts';
import { S3Bucket } from './s3-bucket.ts';
import { createS3Client } from './s3-client.ts';
import { S3Keys } from './s3-keys.ts';
import { type FoundObject, type ListedObject, S3Objects } from './s3-objects.ts';
import type { S3Settings } from './s3-settings.ts';
import { SETTLING_MAY_TAKE_MS } from './s3-strangers.ts';
import { freeLabel, readObserved } from './s3-sums.ts';

export interface S3ImportOptions {
  readonly settings: S3Settings;
  readonly instanceId: string;
  readonly ledger: BucketLedger;
  readonly nowMs: () => number;
  /** Only objects whose keys begin with this; empty: all. */
  readonly below: string;
}

/** Bounds memory, and is what one commit of the metadata store takes. */
const MAX_BATCH = 256;
/** What S3, and clients that always say something, call an object whose type nobody said. */
const UNTYPED = new Set(['binary/octet-stream', 'application/octet-stream']);
const CHANGED = 'It changed while it was being read.';
const ON_ITS_WAY = 'CallFS has stored it a moment ago, and may be about to say what it is; adopt again in an hour.';

export interface OpenedS3Import extends ImportSource, AsyncDisposable {}

/** Rejects when the bucket cannot be used. */
export async function openS3Import(options: S3ImportOptions): Promise<OpenedS3Import> {
  const { settings, instanceId } = options;
  const client = createS3Client(settings);
  const objects = new S3Objects(new S3Bucket(client, settings));
  try {
    await objects.check();
  } catch (error) {
    client.destroy();
    throw error;
  }
  const keys = new S3Keys(settings.prefix, instanceId);
  return new S3Import({ ...options, objects, keys, close: () => client.destroy() });
}

interface ImportParts extends S3ImportOptions {
  readonly objects: S3Objects;
  readonly keys: S3Keys;
  readonly close: () => void;
}

class S3Import implements OpenedS3Import {
  readonly #parts: ImportParts;

  constructor(parts: ImportParts) {
    this.#parts = parts;
  }

  async *walk(problem: PathProblem): AsyncGenerator<ImportBatch> {
    const { objects, below } = this.#parts;
    const walk = new Walk(problem);
    for await (const object of objects.list(below)) {
      if (!object.key.startsWith(`${RESERVED_TOP_LEVEL_NAME}/`)) yield* walk.meet(object);
    }
    yield* walk.end();
  }

  async check(names: readonly string[], path: VirtualPath): Promise<string | undefined> {
    const found = await this.#parts.objects.head(keyOf(names));
    return found && (await this.#isOnItsWay(found, path)) ? ON_ITS_WAY : undefined;
  }

  async take(names: readonly string[], path: VirtualPath, contentId: string): Promise<ImportOutcome> {
    const { objects, ledger } = this.#parts;
    const key = keyOf(names);
    const found = await objects.head(key);
    if (!found) return { kind: 'gone' };
    if (await this.#isOnItsWay(found, path)) return { kind: 'refused', reason: ON_ITS_WAY };
    const label = await freeLabel(ledger, found);
    const isLabelledOtherwise = found.contentId !== undefined && label === undefined;
    try {
      const labelled = isLabelledOtherwise ? await this.#label(key, found, contentId) : found;
      if (!labelled) return { kind: 'refused', reason: CHANGED };
      const { content } = await readObserved(objects, key, labelled, label ?? contentId);
      const { contentType: said = null } = found;
      const contentType = said !== null && UNTYPED.has(said) ? null : said;
      return { kind: 'imported', content, mtimeMs: found.modifiedMs, mode: DEFAULT_FILE_MODE, contentType };
    } catch (error) {
      if (!(error instanceof CallFSError)) throw error;
      // It is another one by now, or the bucket is to blame.
      if ((await objects.head(key))?.etag === found.etag) throw error;
      return { kind: 'refused', reason: CHANGED };
    }
  }

  /** An object that was copied by others with the label of another content gets one of its own. */
  async #label(key: string, found: FoundObject, contentId: string): Promise<FoundObject | undefined> {
    const { etag, sizeBytes, contentType } = found;
    const copied = await this.#parts.objects.copy({ from: key, to: key, etag, sizeBytes, contentId, contentType });
    return copied === undefined ? undefined : { ...found, etag: copied };
  }

  /** Whether an instance may be at work with an object that it has stored, and say in a moment what it is. */
  async #isOnItsWay({ contentId, modifiedMs }: FoundObject, path: VirtualPath): Promise<boolean> {
    const { ledger, keys, nowMs } = this.#parts;
    if (contentId === undefined) return false;
    const [place] = await ledger.describeContents([contentId]);
    if (place) return place.path === path && keys.naturalKey(path, contentId) === path.slice(1);
    return nowMs() - modifiedMs < SETTLING_MAY_TAKE_MS && (await ledger.neighbours()).mayRun;
  }

  async look(names: readonly string[]): Promise<ImportLook> {
    const { objects } = this.#parts;
    const key = keyOf(names);
    const found = key === '' ? undefined : await objects.head(key);
    if (found) return { kind: 'file', fingerprint: found.etag, changedMs: found.modifiedMs };
    for await (const { etag, modifiedMs } of objects.list(key === '' ? '' : `${key}/`)) {
      return { kind: 'folder', fingerprint: etag, changedMs: modifiedMs };
    }
    return { kind: 'missing', fingerprint: '', changedMs: 0 };
  }

  async isInPlace(path: VirtualPath, { storageStamp }: Content): Promise<boolean> {
    return (await this.#parts.objects.head(path.slice(1)))?.etag === storageStamp;
  }

  async isImported(names: readonly string[], _path: VirtualPath, entry: FileEntry): Promise<boolean> {
    return entry.backendType === 's3' && entry.storageKey === keyOf(names);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#parts.close();
  }
}

const keyOf = (names: readonly string[]): string => names.join('/');

interface OpenFolder {
  readonly folder: ImportFolder;
  first: boolean;
  files: string[];
}

/** Makes folders of keys that come in their order, so that those below one folder come one after the other. */
class Walk {
  readonly #problem: PathProblem;
  readonly #open: OpenFolder[] = [openFolder('', 0)];

  constructor(problem: PathProblem) {
    this.#problem = problem;
  }

  *meet({ key, sizeBytes, modifiedMs }: ListedObject): Generator<ImportBatch> {
    const isMarker = key.endsWith('/');
    const names = (isMarker ? key.slice(0, -1) : key).split('/');
    const reason = (isMarker && sizeBytes > 0) || names.includes('') ? NO_NAME : this.#problem(names);
    if (reason !== undefined) {
      const folders = [this.#open[0]?.folder ?? openFolder('', 0).folder];
      yield { folders, first: false, files: [], refused: [{ names: key.split('/'), reason }] };
      return;
    }
    const above = isMarker ? names : names.slice(0, -1);
    yield* this.#goTo(above, modifiedMs);
    if (isMarker) return;
    const folder = this.#open.at(-1);
    folder?.files.push(names.at(-1) ?? '');
    if (folder && folder.files.length >= MAX_BATCH) yield this.#take();
  }

  *#goTo(above: readonly string[], modifiedMs: number): Generator<ImportBatch> {
    const isOpen = (depth: number): boolean => this.#open[depth + 1]?.folder.name === above[depth];
    let shared = 0;
    while (shared < above.length && isOpen(shared)) shared++;
    while (this.#open.length > shared + 1) yield this.#close();
    for (const name of above.slice(shared)) this.#open.push(openFolder(name, modifiedMs));
  }

  *end(): Generator<ImportBatch> {
    while (this.#open.length > 0) yield this.#close();
  }

  #close(): ImportBatch {
    const batch = this.#take();
    this.#open.pop();
    return batch;
  }

  #take(): ImportBatch {
    const folders = this.#open.map(({ folder }) => folder);
    const at = this.#open.at(-1);
    const batch = { folders, first: at?.first ?? true, files: at?.files ?? [], refused: [] };
    if (at) {
      at.first = false;
      at.files = [];
    }
    return batch;
  }
}

const NO_NAME = 'Its key begins or ends with a slash or has two in a row, so a name in it is empty.';

function openFolder(name: string, mtimeMs: number): OpenFolder {
  return { folder: { name, mode: DEFAULT_DIRECTORY_MODE, mtimeMs }, first: true, files: [] };
}
