/** What a check tells the operator: the kind, where, what is wrong and what helps. */
import { type FileEntry, haveSameBytes } from '../core/entry.ts';
import type { VirtualPath } from '../core/virtual-path.ts';
import type { CheckContext, Diagnosis, Subject, Suspicion } from './check-subject.ts';

/** `restored-file`: the bytes of the entry in another file, as after a restore from a backup. */
export type FindingKind = Diagnosis['kind'] | 'restored-file';

export interface Finding extends Suspicion {
  readonly kind: FindingKind;
  /** A path of the namespace, or a location below the root. */
  readonly path: string;
  readonly problem: string;
  /** What a repair would do, or what only the operator can. */
  readonly remedy: string;
}

type Words = Pick<Finding, 'kind' | 'problem' | 'remedy'>;

export async function describe(context: CheckContext, suspicion: Suspicion): Promise<Finding> {
  const { subject, diagnosis } = suspicion;
  const words =
    diagnosis.kind === 'changed-file' && subject.about === 'entry'
      ? await describeChanged(context, subject.entry, subject.path, diagnosis.adoptable)
      : { kind: diagnosis.kind, ...wordsFor(subject, diagnosis) };
  return { subject, diagnosis, path: pathOf(subject), ...words };
}

function pathOf(subject: Subject): string {
  switch (subject.about) {
    case 'entry':
      return subject.path;
    case 'file':
      return subject.file.path ?? subject.file.location;
    case 'staged':
      return `.callfs/staging/${subject.contentId}`;
    case 'upload':
      return `.callfs/uploads/${subject.id}`;
    case 'unfinished':
      return subject.bytes.location;
    case 'outbox':
      return subject.row.path;
    case 'place':
      return subject.place.location;
  }
}

async function describeChanged(
  { holdings }: CheckContext,
  entry: FileEntry,
  path: VirtualPath,
  adoptable: boolean,
): Promise<Words> {
  const kind = 'changed-file';
  const observed = await holdings.observe(path, entry.contentId).catch((error: Error) => error);
  if (observed instanceof Error || !observed) {
    return { kind, problem: 'the file is being changed right now', remedy: 'check again when it is at rest' };
  }
  const { sizeBytes, checksum } = observed.content;
  if (haveSameBytes(observed.content, entry)) {
    return { kind: 'restored-file', problem: 'the right bytes in another file', remedy: 'recognise the file' };
  }
  const problem =
    sizeBytes === entry.sizeBytes
      ? `other bytes: checksum ${checksum} instead of ${entry.checksum}`
      : `other bytes: ${sizeBytes} instead of ${entry.sizeBytes}`;
  return { kind, problem, remedy: adoptable ? 'make it a new version' : 'none: put the old bytes back' };
}

function wordsFor(subject: Subject, diagnosis: Diagnosis): Omit<Words, 'kind'> {
  switch (diagnosis.kind) {
    case 'missing-bytes':
      return {
        problem: 'an entry without bytes',
        remedy: 'none: put the file back from a backup, or remove the entry with --repair --forget-lost',
      };
    case 'changed-file':
      return { problem: 'other bytes than stored', remedy: 'make it a new version' };
    case 'corrupt-bytes':
      return {
        problem: `checksum ${diagnosis.checksum} although size and time fit`,
        remedy: 'none: put the file back from a backup, or touch it to accept it as it is',
      };
    case 'misplaced-bytes':
      return {
        problem: diagnosis.area === 'another-key' ? 'lies under another key' : `lies in .callfs/${diagnosis.area}`,
        remedy: 'move it to its own place',
      };
    case 'unknown-file':
      return {
        problem: diagnosis.holder ? `the path belongs to a ${diagnosis.holder}` : 'a file that no entry points to',
        remedy: diagnosis.kept
          ? 'none: rebuild all instances that share the bucket; what is left then callfs adopt takes'
          : 'move it to .callfs/lost+found',
      };
    case 'leftover-staging':
      return { problem: 'an upload that was never finished', remedy: 'remove it' };
    case 'leftover-upload':
      return { problem: 'bytes of a resumable upload that is over', remedy: 'remove them' };
    case 'unfinished-upload':
      return { problem: 'parts of an upload to the bucket that nobody goes on with', remedy: 'remove them' };
    case 'pending-removal':
      return { problem: 'content that was replaced or deleted is not removed yet', remedy: 'finish the removal' };
    case 'dangling-removal':
      return { problem: `a removal for an unknown instance${ownerOf(subject)}`, remedy: 'forget it' };
    case 'pending-move':
      return {
        problem: `was moved${targetOf(subject)}, which the disk has not followed yet`,
        remedy: 'finish the move',
      };
    case 'dangling-move':
      return { problem: `a move for an unknown instance${ownerOf(subject)}`, remedy: 'forget it' };
    case 'unknown-instance':
      return {
        problem: `an entry of an unknown instance${ownerOf(subject)}`,
        remedy: 'none: start that instance, with its data root, on this metadata store',
      };
    case 'no-backend':
      return {
        problem: 'its bytes are in a bucket, and this instance has none',
        remedy: 'none: configure the bucket again (backend.s3_bucket_name)',
      };
    case 'unreadable':
      return {
        problem: `cannot be read: ${diagnosis.reason}`,
        remedy: 'none: look after the disk and its permissions',
      };
  }
}

function ownerOf(subject: Subject): string {
  if (subject.about === 'entry') return `, ${subject.entry.instanceId}`;
  return subject.about === 'outbox' ? `, ${subject.row.instanceId}` : '';
}

function targetOf(subject: Subject): string {
  return subject.about === 'outbox' && subject.row.kind === 'move' ? ` to ${subject.row.to}` : '';
}
