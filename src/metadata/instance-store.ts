/**
 * The instances of the cluster: which process carries an id, whether it lives, what it holds, and how one leaves. Part of
 * the metadata store, which alone decides who an id belongs to.
 */

export interface InstanceRecord {
  readonly id: string;
  /** Base URL under which peers reach it; empty as long as it is starting. */
  readonly endpoint: string;
  /** Base URL that the operator gave for clients; empty: none. */
  readonly publicUrl: string;
  /** New at every start of the instance's process. */
  readonly bootId: string;
  /** Grows with every heartbeat: tells a live process from a dead one without comparing clocks. */
  readonly beat: number;
  /** Milliseconds since the epoch, by the instance's own clock. */
  readonly lastSeenMs: number;
  /** Set by a clean stop. */
  readonly stopped: boolean;
  readonly version: string;
  /** Names the operating system's process, for others on its host: see `cluster/process-identity.ts`. */
  readonly process: string;
  /** It shall hold nothing any more: its files go to others, and it takes no new ones. */
  readonly draining: boolean;
  /** Names the bucket that it keeps files in, so that instances which share one know it; empty: none. */
  readonly bucketId: string;
}

export interface RegisterInstance {
  readonly id: string;
  readonly endpoint: string;
  readonly publicUrl: string;
  readonly bootId: string;
  readonly version: string;
  readonly process: string;
  /** @see InstanceRecord.bucketId; undefined: none */
  readonly bucketId?: string;
  readonly nowMs: number;
  /** The record the caller saw and judged to be dead; undefined: there was none. */
  readonly replaces: Pick<InstanceRecord, 'bootId' | 'beat'> | undefined;
}

export interface Heartbeat {
  readonly id: string;
  readonly bootId: string;
  /** The current one: it may become known, or change, after the registration. */
  readonly endpoint: string;
  readonly nowMs: number;
}

/** `draining`: alive, and it shall hold nothing any more. `replaced`: the id has another boot now. */
export type HeartbeatOutcome = 'alive' | 'draining' | 'replaced';

export interface SetDraining {
  readonly instanceId: string;
  readonly draining: boolean;
}

export interface HandOverDirectories {
  readonly from: string;
  readonly to: string;
  /** Directories that go over at once. */
  readonly limit: number;
}

export interface RemoveInstance {
  readonly instanceId: string;
  /** The record the caller saw and judged to be dead; undefined: there was none. */
  readonly expect: Pick<InstanceRecord, 'bootId' | 'beat'> | undefined;
  /** How many files the instance holds, as the operator knows it: they are lost, and their entries go. */
  readonly lostFiles: number;
  /** The registered instance that its directories go over to. */
  readonly heir: string;
}

export type RemoveInstanceOutcome =
  | { readonly kind: 'removed'; readonly files: number; readonly directories: number }
  /** It holds another number of files than expected: nothing was removed. */
  | { readonly kind: 'holds-files'; readonly files: number }
  /** It shows a sign of life, or it or its heir is gone: nothing was removed. */
  | { readonly kind: 'changed' };

export interface InstanceFiles {
  readonly instanceId: string;
  readonly files: number;
  readonly sizeBytes: number;
}

export interface InstanceStore {
  findInstance(id: string): Promise<InstanceRecord | undefined>;
  listInstances(): Promise<readonly InstanceRecord[]>;

  /**
   * Takes an instance id over from the record it replaces; false: somebody else did it first. The first instance
   * ever registered becomes the one that made the root.
   */
  registerInstance(request: RegisterInstance): Promise<boolean>;

  /** `replaced`: the caller must stop. */
  heartbeat(beat: Heartbeat): Promise<HeartbeatOutcome>;

  /** Marks a clean stop; ignored when the id has another boot. */
  markStopped(id: string, bootId: string): Promise<void>;

  /** Marks an instance that shall hold nothing any more, or takes that back; it outlives restarts. False: there is none. */
  setDraining(request: SetDraining): Promise<boolean>;

  /** Gives some of the directories that one instance made to another one; resolves to how many. */
  handOverDirectories(request: HandOverDirectories): Promise<number>;

  /** Forgets an instance with all it had to do, and the files that are lost with it, as one. */
  removeInstance(request: RemoveInstance): Promise<RemoveInstanceOutcome>;

  /** Files and bytes per instance. May take long on a large namespace, but holds nothing else up. */
  countFiles(): Promise<readonly InstanceFiles[]>;

  /** How many directories, the root among them, an instance made. */
  countDirectories(instanceId: string): Promise<number>;
}
