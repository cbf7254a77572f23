/**
 * One thing that a check looks at, and what is wrong with it. The same look finds a suspicion, confirms it later
 * and tells after a repair whether it helped.
 */
import type { HeldFile, Holdings, MisplacedArea, UnfinishedBytes, UnreadablePlace } from '../backends/backend.ts';
import type { BackendType, Entry, FileEntry } from '../core/entry.ts';
import type { Clock, Ids } from '../core/runtime.ts';
import { isWithin, namesOf, type VirtualPath } from '../core/virtual-path.ts';
import type { DiscardedContent, MetadataStore, MovedPath, OutboxItem } from '../metadata/metadata-store.ts';

export interface CheckContext {
  readonly instanceId: string;
  readonly store: MetadataStore;
  readonly holdings: Holdings;
  readonly clock: Clock;
  readonly ids: Ids;
  /** Backends of which the instance has none, but its entries may: what is to be said about those is said with this one. */
  readonly lacking?: ReadonlySet<BackendType> | undefined;
}

export type Subject =
  | { readonly about: 'entry'; readonly entry: FileEntry; readonly path: VirtualPath }
  | { readonly about: 'file'; readonly file: HeldFile }
  | { readonly about: 'staged'; readonly contentId: string }
  | { readonly about: 'upload'; readonly id: string }
  | { readonly about: 'unfinished'; readonly bytes: UnfinishedBytes }
  | { readonly about: 'outbox'; readonly row: OutboxItem }
  | { readonly about: 'place'; readonly place: UnreadablePlace };

export type Diagnosis =
  | { readonly kind: 'missing-bytes' }
  | { readonly kind: 'changed-file'; readonly adoptable: boolean }
  | { readonly kind: 'corrupt-bytes'; readonly checksum: string }
  | { readonly kind: 'misplaced-bytes'; readonly area: MisplacedArea }
  /** `kept`: it may belong to an instance that the namespace does not know yet. */
  | { readonly kind: 'unknown-file'; readonly holder: string | undefined; readonly kept?: boolean }
  | { readonly kind: 'leftover-staging' }
  | { readonly kind: 'leftover-upload' }
  | { readonly kind: 'unfinished-upload' }
  | { readonly kind: 'pending-removal' }
  | { readonly kind: 'dangling-removal' }
  | { readonly kind: 'pending-move' }
  | { readonly kind: 'dangling-move' }
  | { readonly kind: 'unknown-instance' }
  | { readonly kind: 'no-backend' }
  | { readonly kind: 'unreadable'; readonly reason: string };

export interface Suspicion {
  readonly subject: Subject;
  readonly diagnosis: Diagnosis;
}

/** What holds for a whole round of looks; read before the first of them. */
export interface Surroundings {
  /** The instance runs: what is on its way is no damage. */
  readonly served: boolean;
  readonly instances: ReadonlySet<string>;
  readonly outbox: ReadonlyMap<number, OutboxItem>;
  /** Those that the disk of this instance has yet to follow, oldest first. */
  readonly moves: readonly MovedPath[];
  readonly garbageByContent: ReadonlyMap<string, DiscardedContent>;
  readonly garbageByPath: ReadonlyMap<VirtualPath, readonly DiscardedContent[]>;
  /** The keys of a bucket that the instances which share it have yet to remove. */
  readonly garbageKeys: ReadonlySet<string>;
  /** Instances were brought back into this namespace, and others may follow. */
  readonly rebuilt: boolean;
}

/** Staged content without an entry may be an upload that its client is slow with, but not for longer than this. */
const UPLOAD_MAY_TAKE_MS = 24 * 60 * 60 * 1000;
/** An instance that runs removes what has expired every ten minutes. */
const EXPIRED_STAYS_MS = 60 * 60 * 1000;
const PAGE_SIZE = 1000;

export async function takeSurroundings({ store, holdings, instanceId }: CheckContext): Promise<Surroundings> {
  const served = await holdings.isServed();
  const records = await store.listInstances();
  const instances = new Set(records.map(({ id }) => id));
  const rebuilt = (await store.listRebuilds()).length > 0;
  const outbox = new Map<number, OutboxItem>();
  for (let after: number | undefined; ; ) {
    const page = await store.listWholeOutbox(after, PAGE_SIZE);
    for (const row of page) outbox.set(row.seq, row);
    after = page.at(-1)?.seq;
    if (page.length < PAGE_SIZE) break;
  }
  const own = [...outbox.values()].filter((row) => row.instanceId === instanceId && row.backendType === holdings.type);
  const moves = own.filter((row) => row.kind === 'move');
  const garbage = own.filter((row) => row.kind === 'discard');
  const garbageByContent = new Map(garbage.map((row) => [row.contentId, row]));
  const garbageByPath = Map.groupBy(garbage, ({ path }) => path);
  const bucketId = records.find(({ id }) => id === instanceId)?.bucketId ?? '';
  const sharers = new Set(records.filter((record) => record.bucketId === bucketId).map(({ id }) => id));
  const garbageKeys = new Set<string>();
  for (const row of outbox.values()) {
    const isHere = row.backendType === holdings.type && sharers.has(row.instanceId);
    if (isHere && row.kind === 'discard' && row.storageKey !== null) garbageKeys.add(row.storageKey);
  }
  return { served, instances, outbox, moves, garbageByContent, garbageByPath, garbageKeys, rebuilt };
}

/** Whether what is in a backend is looked at together with the holdings of this context. */
export function concerns({ holdings, lacking }: CheckContext, backendType: BackendType): boolean {
  return backendType === holdings.type || (lacking?.has(backendType) ?? false);
}

/** @returns undefined: nothing is wrong with it, as far as can be seen now */
export function diagnose(
  context: CheckContext,
  around: Surroundings,
  subject: Subject,
  deep: boolean,
): Promise<Diagnosis | undefined> {
  switch (subject.about) {
    case 'entry':
      return diagnoseEntry(context, around, subject, deep);
    case 'file':
      return diagnoseFile(context, around, subject.file);
    case 'staged':
      return diagnoseStaged(context, around, subject.contentId);
    case 'upload':
      return diagnoseUpload(context, subject.id);
    case 'unfinished':
      return diagnoseUnfinished(context, subject.bytes);
    case 'outbox':
      return Promise.resolve(diagnoseOutbox(context, around, subject.row));
    case 'place':
      return Promise.resolve({ kind: 'unreadable', reason: subject.place.reason });
  }
}

async function diagnoseEntry(
  context: CheckContext,
  { instances, moves }: Surroundings,
  { entry, path }: Extract<Subject, { about: 'entry' }>,
  deep: boolean,
): Promise<Diagnosis | undefined> {
  const { instanceId, holdings } = context;
  if (!instances.has(entry.instanceId)) return { kind: 'unknown-instance' };
  if (entry.instanceId !== instanceId || !concerns(context, entry.backendType)) return undefined;
  if (entry.backendType !== holdings.type) return { kind: 'no-backend' };
  let found = await holdings.examine(entry, path, deep);
  const before = pathBefore(moves, path);
  if ((found.kind === 'missing' || found.kind === 'changed') && before !== path) {
    const unmoved = await holdings.examine(entry, before, deep);
    if (unmoved.kind !== 'missing') found = unmoved;
  }
  switch (found.kind) {
    case 'intact':
      return undefined;
    case 'missing':
      return { kind: 'missing-bytes' };
    case 'changed':
      return { kind: 'changed-file', adoptable: found.adoptable };
    case 'corrupt':
      return { kind: 'corrupt-bytes', checksum: found.checksum };
    case 'misplaced':
      return { kind: 'misplaced-bytes', area: found.area };
    case 'unreadable':
      return { kind: 'unreadable', reason: found.reason };
  }
}

/** The subject as the namespace has it now; undefined: the entry is gone or has another content, which is no damage. */
export async function refresh({ store }: CheckContext, subject: Subject): Promise<Subject | undefined> {
  if (subject.about !== 'entry') return subject;
  const names = namesOf(subject.path);
  const entry = (await store.resolve(names))[names.length];
  const isSame = entry?.type === 'file' && entry.contentId === subject.entry.contentId;
  return isSame ? { ...subject, entry } : undefined;
}

async function diagnoseFile(
  context: CheckContext,
  around: Surroundings,
  file: HeldFile,
): Promise<Diagnosis | undefined> {
  const { store, holdings, instanceId } = context;
  if (holdings.findStrange) return diagnoseObject(holdings, around, file);
  if (isGarbage(around, file) || !(await holdings.isThere(file))) return undefined;
  if (file.contentId !== undefined) {
    const located = await store.locateContents([file.contentId]);
    return located.length > 0 ? undefined : { kind: 'unknown-file', holder: undefined };
  }
  if (file.path === undefined) return { kind: 'unknown-file', holder: undefined };
  let entry: Entry | undefined;
  for (const path of [file.path, pathAfter(around.moves, file.path)]) {
    const names = namesOf(path);
    entry = (await store.resolve(names))[names.length];
    if (entry?.type === 'file' && entry.instanceId === instanceId && entry.backendType === holdings.type)
      return undefined;
  }
  return { kind: 'unknown-file', holder: entry && `${entry.type} of ${entry.instanceId}` };
}

async function diagnoseObject(
  holdings: Holdings,
  { garbageKeys, rebuilt }: Surroundings,
  file: HeldFile,
): Promise<Diagnosis | undefined> {
  if (garbageKeys.has(file.location)) return undefined;
  const [strange] = (await holdings.findStrange?.([file])) ?? [];
  if (!strange) return undefined;
  if (strange.isStaged) return { kind: 'leftover-staging' };
  return { kind: 'unknown-file', holder: undefined, kept: rebuilt };
}

/** Whether it is content whose removal is pending already. */
function isGarbage({ garbageByContent, garbageByPath, moves }: Surroundings, file: HeldFile): boolean {
  if (file.contentId !== undefined) return garbageByContent.has(file.contentId);
  if (file.path === undefined) return false;
  const isRemovedAt = (path: VirtualPath): boolean => {
    const rows = garbageByPath.get(path) ?? [];
    return rows.some((row) => row.storageStamp === file.storageStamp && row.sizeBytes === file.sizeBytes);
  };
  let at = file.path;
  if (isRemovedAt(at)) return true;
  // The removal names the path that the file had by then, which moves before it have yet to give it on the disk.
  for (const move of moves) {
    const moved = pathAfter([move], at);
    if (moved === at) continue;
    at = moved;
    if (isRemovedAt(at)) return true;
  }
  return false;
}

async function diagnoseStaged(
  { store, holdings, clock }: CheckContext,
  { served, garbageByContent }: Surroundings,
  contentId: string,
): Promise<Diagnosis | undefined> {
  const stagedAtMs = await holdings.stagedAtMs(contentId);
  if (stagedAtMs === undefined || garbageByContent.has(contentId)) return undefined;
  if (served && clock.now() - stagedAtMs < UPLOAD_MAY_TAKE_MS) return undefined;
  return (await store.locateContents([contentId])).length > 0 ? undefined : { kind: 'leftover-staging' };
}

async function diagnoseUpload(context: CheckContext, id: string): Promise<Diagnosis | undefined> {
  const { store, holdings, instanceId, clock } = context;
  const record = await store.uploads.find(id);
  const isKept = record && !record.finished && record.instanceId === instanceId;
  if (isKept && record.expiresAtMs > clock.now() - EXPIRED_STAYS_MS) return undefined;
  // An instance that runs removes the bytes right after they became a file.
  return (await holdings.uploads()).includes(id) ? { kind: 'leftover-upload' } : undefined;
}

async function diagnoseUnfinished({ holdings }: CheckContext, { id }: UnfinishedBytes): Promise<Diagnosis | undefined> {
  const left = await holdings.unfinished?.();
  return left?.some((bytes) => bytes.id === id) ? { kind: 'unfinished-upload' } : undefined;
}

function diagnoseOutbox(
  { instanceId, holdings }: CheckContext,
  { instances, outbox }: Surroundings,
  row: OutboxItem,
): Diagnosis | undefined {
  if (!outbox.has(row.seq)) return undefined;
  const isMove = row.kind === 'move';
  if (!instances.has(row.instanceId)) return { kind: isMove ? 'dangling-move' : 'dangling-removal' };
  if (row.instanceId !== instanceId || row.backendType !== holdings.type) return undefined;
  return { kind: isMove ? 'pending-move' : 'pending-removal' };
}

/** Where the disk has what belongs at a path, as long as it has not followed the moves. */
function pathBefore(moves: readonly MovedPath[], path: VirtualPath): VirtualPath {
  return moves.reduceRight((at, move) => (isWithin(at, move.to) ? moveUnder(at, move.to, move.path) : at), path);
}

/** Where what the disk has at a path belongs once it has followed the moves. */
export function pathAfter(moves: readonly MovedPath[], path: VirtualPath): VirtualPath {
  return moves.reduce((at, move) => (isWithin(at, move.path) ? moveUnder(at, move.path, move.to) : at), path);
}

function moveUnder(path: VirtualPath, from: VirtualPath, to: VirtualPath): VirtualPath {
  return `${to}${path.slice(from.length)}` as VirtualPath;
}
