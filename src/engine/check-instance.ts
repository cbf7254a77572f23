/** Compares what the namespace says about an instance with what its backend holds. Changes nothing. */

import type { HeldFile, Holdings } from '../backends/backend.ts';
import { forEachParallel } from '../core/for-each-parallel.ts';
import type { VirtualPath } from '../core/virtual-path.ts';
import { describe, type Finding } from './check-finding.ts';
import {
  type CheckContext,
  concerns,
  diagnose,
  refresh,
  type Subject,
  type Surroundings,
  type Suspicion,
  takeSurroundings,
} from './check-subject.ts';

export interface CheckRequest {
  /** Only this path and what is below it; undefined: everything, also what is staged or to be removed. */
  readonly under: VirtualPath | undefined;
  /** Reads all bytes and compares their checksums. */
  readonly deep: boolean;
  /** Told after each file and each entry of this instance. */
  readonly onProgress: () => void;
}

export interface CheckReport {
  readonly checked: Checked;
  readonly findings: readonly Finding[];
  /** Whether the instance ran meanwhile. */
  readonly served: boolean;
}

export interface Checked {
  readonly entries: number;
  readonly files: number;
}

const PAGE_SIZE = 1000;
export const CHECKED_AT_ONCE = 16;
/** How long a running instance gets to finish what may be under way: about six seconds in all. */
const LOOK_AGAIN_AFTER_MS = [100, 200, 400, 800, 1600, 3200];

/** @throws Error with one line for the operator when nothing can be concluded */
export async function checkInstance(context: CheckContext, request: CheckRequest): Promise<CheckReport> {
  const around = await takeSurroundings(context);
  if (!around.instances.has(context.instanceId)) {
    throw new Error(
      `The metadata store does not know the instance ${context.instanceId}: nothing can be compared. ` +
        'Are metadata_store and instance_discovery.instance_id right? An instance is known once it was started.',
    );
  }
  await context.holdings.survey?.(request.under);
  const counts = { entries: 0, files: 0 };
  const suspicions: Suspicion[] = [];
  await forEachParallel(subjects(context, around, request, counts), CHECKED_AT_ONCE, async (subject) => {
    const diagnosis = await diagnose(context, around, subject, request.deep);
    if (diagnosis) suspicions.push({ subject, diagnosis });
    if (subject.about === 'entry' || subject.about === 'file') request.onProgress();
  });
  const confirmed = await confirm(context, suspicions);
  // Last: a disk that went away meanwhile would make everything look lost.
  await context.holdings.assertPresent();
  const findings: Finding[] = [];
  await forEachParallel(confirmed, CHECKED_AT_ONCE, async (suspicion) => {
    findings.push(await describe(context, suspicion));
  });
  return { checked: counts, findings: findings.sort(byKindAndPath), served: around.served };
}

function byKindAndPath(left: Finding, right: Finding): number {
  return Buffer.compare(Buffer.from(`${left.kind}\0${left.path}`), Buffer.from(`${right.kind}\0${right.path}`));
}

type Counts = { entries: number; files: number };

async function* subjects(
  context: CheckContext,
  around: Surroundings,
  request: CheckRequest,
  counts: Counts,
): AsyncGenerator<Subject> {
  const { under } = request;
  const { holdings } = context;
  for await (const { entry, path } of allFiles(context)) {
    if (!isUnder(path, under) || !concerns(context, entry.backendType)) continue;
    if (entry.instanceId === context.instanceId) counts.entries++;
    else if (around.instances.has(entry.instanceId)) continue;
    yield { about: 'entry', entry, path };
  }
  yield* holdings.findStrange ? strangeFiles(holdings, around, request, counts) : heldFiles(holdings, under, counts);
  if (under !== undefined) return;
  for (const contentId of await holdings.staged()) yield { about: 'staged', contentId };
  for (const id of await holdings.uploads()) yield { about: 'upload', id };
  for (const bytes of (await holdings.unfinished?.()) ?? []) yield { about: 'unfinished', bytes };
  for (const row of around.outbox.values()) if (concerns(context, row.backendType)) yield { about: 'outbox', row };
}

async function* heldFiles(holdings: Holdings, under: VirtualPath | undefined, counts: Counts): AsyncGenerator<Subject> {
  for await (const found of holdings.files(under)) {
    if ('reason' in found) {
      yield { about: 'place', place: found };
      continue;
    }
    counts.files++;
    yield { about: 'file', file: found };
  }
}

/** Where the holdings tell what is strange, many are asked about at once. */
async function* strangeFiles(
  holdings: Holdings,
  { garbageKeys }: Surroundings,
  { under, onProgress }: CheckRequest,
  counts: Counts,
): AsyncGenerator<Subject> {
  let some: HeldFile[] = [];
  async function* sift(): AsyncGenerator<Subject> {
    const strange = (await holdings.findStrange?.(some)) ?? [];
    yield* strange.map(({ file }): Subject => ({ about: 'file', file }));
    for (let known = some.length - strange.length; known > 0; known--) onProgress();
    some = [];
  }
  for await (const found of holdings.files(under)) {
    if ('reason' in found) yield { about: 'place', place: found };
    else {
      counts.files++;
      if (!garbageKeys.has(found.location)) some.push(found);
      if (some.length === PAGE_SIZE) yield* sift();
    }
  }
  yield* sift();
}

async function* allFiles({ store }: CheckContext) {
  for (let after: string | undefined; ; ) {
    const page = await store.listFiles(after, PAGE_SIZE);
    yield* page;
    after = page.at(-1)?.entry.id;
    if (page.length < PAGE_SIZE) return;
  }
}

function isUnder(path: VirtualPath, under: VirtualPath | undefined): boolean {
  return under === undefined || under === '/' || path === under || path.startsWith(`${under}/`);
}

/** Looks at every suspicion again, for as long as a running instance may need, until only damage is left. */
async function confirm(context: CheckContext, suspicions: readonly Suspicion[]): Promise<readonly Suspicion[]> {
  let left = suspicions;
  const pauses = (await context.holdings.isServed()) ? LOOK_AGAIN_AFTER_MS : [0];
  for (const pauseMs of pauses) {
    if (left.length === 0) break;
    await new Promise((resolve) => setTimeout(resolve, pauseMs));
    left = [...(await stillWrong(context, left)).values()];
  }
  return left;
}

/** Those of the suspicions that hold now, each with what it comes to now. */
export async function stillWrong<S extends Suspicion>(
  context: CheckContext,
  suspicions: readonly S[],
): Promise<ReadonlyMap<S, Suspicion>> {
  const around = await takeSurroundings(context);
  const left = new Map<S, Suspicion>();
  await forEachParallel(suspicions, CHECKED_AT_ONCE, async (suspicion) => {
    const subject = await refresh(context, suspicion.subject);
    if (!subject) return;
    let diagnosis = await diagnose(context, around, subject, false);
    // The bytes were read once already, and still look as if they were intact.
    if (!diagnosis && suspicion.diagnosis.kind === 'corrupt-bytes') diagnosis = suspicion.diagnosis;
    // Once more, for what was committed between the look at the namespace and the look at the disk.
    if (diagnosis && (await refresh(context, subject))) left.set(suspicion, { subject, diagnosis });
  });
  return left;
}
