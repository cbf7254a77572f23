/**
 * One thing that a check looks at, and what is wrong with it. The same look finds a suspicion, confirms it later
 * and tells after a repair whether it helped.
 */
import type { HeldFile, Holdings, UnreadablePlace } from '../backends/backend.ts';
import type { FileEntry } from '../core/entry.ts';
import type { Clock, Ids } from '../core/runtime.ts';
import { namesOf, type VirtualPath } from '../core/virtual-path.ts';
import type { DiscardedContent, MetadataStore } from '../metadata/metadata-store.ts';

export interface CheckContext {
  readonly instanceId: string;
  readonly store: MetadataStore;
  readonly holdings: Holdings;
  readonly clock: Clock;
  readonly ids: Ids;
}

export type Subject =
  | { readonly about: 'entry'; readonly entry: FileEntry; readonly path: VirtualPath }
  | { readonly about: 'file'; readonly file: HeldFile }
  | { readonly about: 'staged'; readonly contentId: string }
  | { readonly about: 'removal'; readonly row: DiscardedContent }
  | { readonly about: 'place'; readonly place: UnreadablePlace };

export type Diagnosis =
  | { readonly kind: 'missing-bytes' }
  | { readonly kind: 'changed-file'; readonly adoptable: boolean }
  | { readonly kind: 'corrupt-bytes'; readonly checksum: string }
  | { readonly kind: 'misplaced-bytes'; readonly area: 'staging' | 'long-names' }
  | { readonly kind: 'unknown-file'; readonly holder: string | undefined }
  | { readonly kind: 'leftover-staging' }
  | { readonly kind: 'pending-removal' }
  | { readonly kind: 'dangling-removal' }
  | { readonly kind: 'unknown-instance' }
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
  readonly removals: ReadonlyMap<number, DiscardedContent>;
  readonly garbageByContent: ReadonlyMap<string, DiscardedContent>;
  readonly garbageByPath: ReadonlyMap<VirtualPath, readonly DiscardedContent[]>;
}

/** Staged content without an entry may be an upload that its client is slow with, but not for longer than this. */
const UPLOAD_MAY_TAKE_MS = 24 * 60 * 60 * 1000;
const PAGE_SIZE = 1000;

export async function takeSurroundings({ store, holdings, instanceId }: CheckContext): Promise<Surroundings> {
  const served = await holdings.isServed();
  const instances = new Set((await store.listInstances()).map(({ id }) => id));
  const removals = new Map<number, DiscardedContent>();
  for (let after: number | undefined; ; ) {
    const page = await store.listAllDiscarded(after, PAGE_SIZE);
    for (const row of page) removals.set(row.seq, row);
    after = page.at(-1)?.seq;
    if (page.length < PAGE_SIZE) break;
  }
  const own = [...removals.values()].filter((row) => row.instanceId === instanceId);
  const garbageByContent = new Map(own.map((row) => [row.contentId, row]));
  return { served, instances, removals, garbageByContent, garbageByPath: Map.groupBy(own, ({ path }) => path) };
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
    case 'removal':
      return Promise.resolve(diagnoseRemoval(context, around, subject.row));
    case 'place':
      return Promise.resolve({ kind: 'unreadable', reason: subject.place.reason });
  }
}

async function diagnoseEntry(
  { instanceId, holdings }: CheckContext,
  { instances }: Surroundings,
  { entry, path }: Extract<Subject, { about: 'entry' }>,
  deep: boolean,
): Promise<Diagnosis | undefined> {
  if (!instances.has(entry.instanceId)) return { kind: 'unknown-instance' };
  if (entry.instanceId !== instanceId || entry.backendType !== holdings.type) return undefined;
  const found = await holdings.examine(entry, path, deep);
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
  if (isGarbage(around, file) || !(await holdings.isThere(file))) return undefined;
  if (file.contentId !== undefined) {
    const located = await store.locateContents([file.contentId]);
    return located.length > 0 ? undefined : { kind: 'unknown-file', holder: undefined };
  }
  if (file.path === undefined) return { kind: 'unknown-file', holder: undefined };
  const names = namesOf(file.path);
  const entry = (await store.resolve(names))[names.length];
  if (entry?.type === 'file' && entry.instanceId === instanceId && entry.backendType === holdings.type)
    return undefined;
  return { kind: 'unknown-file', holder: entry && `${entry.type} of ${entry.instanceId}` };
}

/** Whether it is content whose removal is pending already. */
function isGarbage({ garbageByContent, garbageByPath }: Surroundings, file: HeldFile): boolean {
  if (file.contentId !== undefined) return garbageByContent.has(file.contentId);
  const rows = file.path === undefined ? [] : (garbageByPath.get(file.path) ?? []);
  return rows.some((row) => row.storageStamp === file.storageStamp && row.sizeBytes === file.sizeBytes);
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

function diagnoseRemoval(
  { instanceId }: CheckContext,
  { instances, removals }: Surroundings,
  row: DiscardedContent,
): Diagnosis | undefined {
  if (!removals.has(row.seq)) return undefined;
  if (!instances.has(row.instanceId)) return { kind: 'dangling-removal' };
  return row.instanceId === instanceId ? { kind: 'pending-removal' } : undefined;
}
