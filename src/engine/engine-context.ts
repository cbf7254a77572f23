/** What every use case works with; made once by `src/compose/`. */
import type { Backend } from '../backends/backend.ts';
import type { BackendType, Entry, FileEntry } from '../core/entry.ts';
import { backendUnavailable } from '../core/errors.ts';
import type { Clock, Ids } from '../core/runtime.ts';
import type { VirtualPath } from '../core/virtual-path.ts';
import type { MetadataStore } from '../metadata/metadata-store.ts';

export interface EngineContext {
  readonly instanceId: string;
  readonly store: MetadataStore;
  readonly backends: ReadonlyMap<BackendType, Backend>;
  /** Where new files of this instance go. */
  readonly defaultBackend: BackendType;
  readonly clock: Clock;
  readonly ids: Ids;
  /** Undefined: no limit. */
  readonly maxUploadBytes: number | undefined;
  /**
   * The bytes that another instance holds of a file.
   * @param requestId of the request that they are for; undefined: of none
   * @throws CallFSError FILE_NOT_FOUND when it does not hold this content any more; PROXY_ERROR, PEER_TIMEOUT
   */
  readonly fetchContent: (entry: FileEntry, path: VirtualPath, requestId?: string) => AsyncIterable<Uint8Array>;
  /** Whether this instance shall hold nothing any more; about a second old. */
  readonly isDraining: () => boolean;
  /**
   * Another instance that new files may go to while this one is being drained; undefined: there is none now.
   * @param backendType only one that has it; undefined: any
   */
  readonly findTaker: (backendType?: BackendType) => Promise<string | undefined>;
  /**
   * Whether an instance keeps files in the very bucket that this one has, whether that instance runs or not; false for
   * one that nobody knows. Undefined: this instance has no bucket.
   */
  readonly sharesBucketWith?: ((instanceId: string) => Promise<boolean>) | undefined;
  /** Told when a file that was changed outside CallFS became a new version. */
  readonly onAdopted: (path: VirtualPath) => void;
}

export function backendFor(context: EngineContext, type: BackendType): Backend {
  const backend = context.backends.get(type);
  if (!backend) throw backendUnavailable(`This instance has no ${type} backend configured.`);
  return backend;
}

/** The bytes of an upload, not asked for before `open`. */
export interface Upload {
  /** The Content-Length, if the client declared one. */
  readonly declaredBytes: number | undefined;
  /** Lets the client send. At most once. */
  open(): AsyncIterable<Uint8Array>;
}

/** Another instance has to do it: the one that holds the entry's bytes, or the one that shall hold them. */
export interface Elsewhere<E extends Entry | undefined = Entry | undefined> {
  readonly kind: 'elsewhere';
  /** Undefined: it is yet to be created, and that instance was chosen for it. */
  readonly entry: E;
  readonly instanceId: string;
}

/** The entry belongs to another instance, which alone may read or change its bytes. */
export function atOwner<E extends Entry>(entry: E): Elsewhere<E> {
  return { kind: 'elsewhere', entry, instanceId: entry.instanceId };
}
