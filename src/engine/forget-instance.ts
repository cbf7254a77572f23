/** Forgets an instance that is gone for good, with the entries of the files that are lost with it when that is asked for. */
import type { InstanceRecord } from '../metadata/instance-store.ts';
import type { LocatedFile, MetadataStore } from '../metadata/metadata-store.ts';
import { filesOf } from './files-of.ts';
import { unknownInstance } from './report-instance.ts';

export interface ForgetContext {
  readonly store: MetadataStore;
  /** Whether the process that left the record still runs. */
  readonly isAlive: (record: InstanceRecord) => Promise<boolean>;
}

export interface ForgetRequest {
  readonly instanceId: string;
  /** How many files the operator gives up; they must be exactly those that the instance holds. */
  readonly lostFiles: number;
}

export interface Forgotten {
  /** Empty unless they were given up. */
  readonly files: readonly LocatedFile[];
  /** Directories that went over to the heir. */
  readonly directories: number;
  readonly heir: string;
}

/** @throws Error with one line for the operator when it may not be forgotten */
export async function forgetInstance(
  { store, isAlive }: ForgetContext,
  { instanceId, lostFiles }: ForgetRequest,
): Promise<Forgotten> {
  const record = await store.findInstance(instanceId);
  if (record && (await isAlive(record))) {
    throw new Error(
      `${instanceId} is alive (${record.endpoint || 'starting'}): drain it, then stop it, then remove it.`,
    );
  }
  const files: LocatedFile[] = [];
  for await (const file of filesOf(store, instanceId)) files.push(file);
  const isNamed = record || files.length > 0 || (await store.countDirectories(instanceId)) > 0;
  if (!isNamed) throw await unknownInstance(store, instanceId);
  await assertLost(store, record, files);
  if (files.length !== lostFiles) throw holdsFiles(instanceId, files.length, lostFiles);
  const heir = await findHeir(store, instanceId);
  const outcome = await store.removeInstance({ instanceId, expect: record, lostFiles, heir });
  switch (outcome.kind) {
    case 'removed':
      return { files, directories: outcome.directories, heir };
    case 'holds-files':
      throw holdsFiles(instanceId, outcome.files, lostFiles);
    case 'changed':
      throw new Error(
        `${instanceId} shows a sign of life, or was removed by somebody else just now: nothing was done.`,
      );
  }
}

/** @throws Error when others reach some of the files, too: those need nobody but another owner */
async function assertLost(
  store: MetadataStore,
  record: InstanceRecord | undefined,
  files: readonly LocatedFile[],
): Promise<void> {
  const kept = files.filter(({ entry }) => entry.backendType === 's3').length;
  if (!record || record.bucketId === '' || kept === 0) return;
  const others = (await store.listInstances()).filter(
    ({ id, bucketId }) => id !== record.id && bucketId === record.bucketId,
  );
  if (others.length === 0) return;
  throw new Error(
    `${record.id} holds ${files.length} ${files.length === 1 ? 'file' : 'files'}; ${kept} of them in a bucket that ` +
      `${others.map(({ id }) => id).join(', ')} has, too. Run "callfs node drain ${record.id}" first: it hands these over, ` +
      'also while the instance is down.',
  );
}

function holdsFiles(instanceId: string, files: number, given: number): Error {
  const held = `${instanceId} holds ${files} ${files === 1 ? 'file' : 'files'}`;
  if (given > 0) {
    return new Error(`${held}, not ${given}: nothing was done; "callfs node report ${instanceId} --files" lists them.`);
  }
  return new Error(
    `${held}. Start it and run "callfs node drain ${instanceId}". Only if its disk is lost for good: ` +
      `"callfs node remove ${instanceId} --force --forget-files ${files}" gives them up; ` +
      `"callfs node report ${instanceId} --files" lists them.`,
  );
}

/** Directories have no bytes, so any other instance will do; one that runs, if there is one. */
async function findHeir(store: MetadataStore, instanceId: string): Promise<string> {
  const others = (await store.listInstances()).filter(({ id }) => id !== instanceId);
  const running = others.filter(({ stopped }) => !stopped);
  const heir = running.find(({ draining }) => !draining) ?? running[0] ?? others[0];
  if (heir) return heir.id;
  throw new Error(`${instanceId} is the only instance of the cluster: somebody must have the directories.`);
}
