/** Puts right what a check found, as far as that destroys nothing, and finds out what it has achieved. */

import { type FileEntry, haveSameBytes } from '../core/entry.ts';
import { forEachParallel } from '../core/for-each-parallel.ts';
import type { VirtualPath } from '../core/virtual-path.ts';
import type { Finding } from './check-finding.ts';
import { CHECKED_AT_ONCE, stillWrong } from './check-instance.ts';
import type { CheckContext } from './check-subject.ts';
import { catalogLedger, contentLedger } from './content-ledger.ts';

export interface RepairRequest {
  /** Also remove entries whose bytes are gone. */
  readonly forgetLost: boolean;
}

export interface RepairedFinding extends Finding {
  readonly repaired: boolean;
  /** What was done; undefined: nothing. */
  readonly done: string | undefined;
}

const LEFT_TO_INSTANCE = 'left to the running instance: restart it, or stop it and repair again';

/** What was done to each finding. */
type Deeds = Map<Finding, string>;

export async function repairFindings(
  context: CheckContext,
  findings: readonly Finding[],
  request: RepairRequest,
): Promise<readonly RepairedFinding[]> {
  const deeds: Deeds = new Map();
  const failures: Deeds = new Map();
  const attempt = async (finding: Finding, work: () => Promise<string | undefined>): Promise<void> => {
    try {
      const done = await work();
      if (done !== undefined) deeds.set(finding, done);
    } catch (error) {
      failures.set(finding, `failed: ${error instanceof Error ? error.message : error}`);
    }
  };
  await context.holdings.assertPresent();
  // Removed entries leave removals behind, so they come before what settles.
  await forEachParallel(findings, CHECKED_AT_ONCE, (finding) =>
    attempt(finding, () => repairEntry(context, finding, request)),
  );
  await settle(context, findings, attempt, deeds);
  await forEachParallel(findings, CHECKED_AT_ONCE, (finding) => attempt(finding, () => repairRest(context, finding)));
  const left = await stillWrong(context, findings);
  return findings
    .filter((finding) => left.has(finding) || deeds.has(finding))
    .map((finding) => {
      const repaired = !left.has(finding);
      const remedy = failures.get(finding) ?? (isLeft(context, finding) ? LEFT_TO_INSTANCE : finding.remedy);
      return { ...finding, remedy, repaired, done: repaired ? deeds.get(finding) : undefined };
    });
}

async function repairEntry(
  context: CheckContext,
  { kind, subject, diagnosis }: Finding,
  { forgetLost }: RepairRequest,
): Promise<string | undefined> {
  if (subject.about !== 'entry') return undefined;
  const { entry, path } = subject;
  if (diagnosis.kind === 'changed-file' && (diagnosis.adoptable || kind === 'restored-file')) {
    return adopt(context, entry, path);
  }
  if (kind !== 'missing-bytes' || !forgetLost) return undefined;
  const outcome = await context.store.removeEntry({ entryId: entry.id, expectContentId: entry.contentId });
  return outcome.kind === 'removed' ? 'removed the entry' : undefined;
}

/** As the instance itself does when it is asked for the file. */
async function adopt(context: CheckContext, entry: FileEntry, path: VirtualPath): Promise<string | undefined> {
  const { store, holdings, instanceId, ids } = context;
  const observed = await holdings.observe(path, entry.contentId);
  if (!observed) return undefined;
  const { content, mtimeMs } = observed;
  if (haveSameBytes(content, entry)) {
    await store.restampContent(entry.contentId, content.storageStamp);
    return 'recognised the file';
  }
  const outcome = await store.replaceContent({
    entryId: entry.id,
    expectContentId: entry.contentId,
    instanceId,
    backendType: entry.backendType,
    takeOver: false,
    content: content.contentId === entry.contentId ? { ...content, contentId: ids.next() } : content,
    contentType: undefined,
    mtimeMs,
    discardPrevious: false,
  });
  return outcome.kind === 'replaced' ? `made it version ${outcome.entry.version}` : undefined;
}

const SETTLED: Partial<Record<Finding['kind'], string>> = {
  'misplaced-bytes': 'moved it to its own place',
  'leftover-staging': 'removed it',
  'pending-removal': 'finished the removal',
  'pending-move': 'finished the move',
};

const needsSettling = ({ kind }: Finding): boolean => SETTLED[kind] !== undefined;

function isLeft({ holdings }: CheckContext, finding: Finding): boolean {
  return needsSettling(finding) && !holdings.claimed;
}

type Attempt = (finding: Finding, work: () => Promise<string | undefined>) => Promise<void>;

/** What the instance does at its start does most of it. */
async function settle(
  { holdings, store, instanceId }: CheckContext,
  findings: readonly Finding[],
  attempt: Attempt,
  deeds: Deeds,
): Promise<void> {
  if (!holdings.claimed) return;
  const wanting = findings.filter(needsSettling);
  for (const finding of wanting) {
    const { subject, diagnosis } = finding;
    if (subject.about !== 'entry' || diagnosis.kind !== 'misplaced-bytes' || diagnosis.area === 'staging') continue;
    await attempt(finding, async () => {
      await holdings.bringBack(subject.entry.contentId);
      return undefined;
    });
  }
  const hasForgotten = findings.some((finding) => finding.kind === 'missing-bytes' && deeds.has(finding));
  if (wanting.length === 0 && !hasForgotten) return;
  const settled = holdings.settle(contentLedger(instanceId, store, holdings.type), catalogLedger(instanceId, store));
  for (const finding of wanting) await attempt(finding, () => settled.then(() => SETTLED[finding.kind]));
  // Failed with findings that wanted it: told there.
  if (wanting.length === 0) await settled;
}

async function repairRest({ holdings, store }: CheckContext, finding: Finding): Promise<string | undefined> {
  const { subject, kind, diagnosis } = finding;
  if (kind === 'unknown-file' && subject.about === 'file') {
    if (diagnosis.kind === 'unknown-file' && diagnosis.kept) return undefined;
    const to = await holdings.moveAside(subject.file);
    return to === undefined ? undefined : `moved it to ${to}`;
  }
  if (kind === 'leftover-staging' && subject.about === 'file') {
    await holdings.removeStaged?.(subject.file);
    return 'removed it';
  }
  if (subject.about === 'unfinished') {
    await holdings.removeUnfinished?.(subject.bytes);
    return 'removed them';
  }
  if (subject.about === 'upload') {
    await holdings.removeUpload(subject.id);
    return 'removed them';
  }
  if ((kind !== 'dangling-removal' && kind !== 'dangling-move') || subject.about !== 'outbox') return undefined;
  await store.forgetOutbox([subject.row.seq]);
  return 'forgot it';
}
