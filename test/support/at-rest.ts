/** What instances hold on their disks and in their store, looked at from outside. */
import assert from 'node:assert/strict';
import { type Dirent, existsSync, readdirSync } from 'node:fs';
import { join, relative, sep } from 'node:path';
import { call } from './client.ts';
import { ADMIN_KEY, type TestCluster, type TestInstance } from './cluster.ts';
import type { TestBucket } from './test-bucket.ts';
import { queryStore } from './test-store.ts';
import { waitFor } from './wait-for.ts';

/** Paths of the namespace (`/a/b`) that lie as files on an instance's disk, `.callfs/` left out; sorted. */
export function filesOnDisk({ dataRoot }: TestInstance): string[] {
  return listAll(dataRoot)
    .filter((found) => !found.isDirectory())
    .map((found) => `/${relative(dataRoot, join(found.parentPath, found.name))}`)
    .filter((path) => !path.startsWith(`${sep}.callfs${sep}`))
    .sort();
}

/** Looks again when a directory that is being moved is gone between the look at its parent and the look at itself. */
function listAll(folder: string): Dirent[] {
  for (;;) {
    try {
      return readdirSync(folder, { recursive: true, withFileTypes: true });
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT' || !existsSync(folder)) throw error;
    }
  }
}

export function stagedFiles({ dataRoot }: TestInstance): string[] {
  return readdirSync(join(dataRoot, '.callfs', 'staging'));
}

export function lostFiles({ dataRoot }: TestInstance): string[] {
  return readdirSync(join(dataRoot, '.callfs', 'lost+found'));
}

export interface Listed {
  readonly path: string;
  readonly type: string;
  readonly instance_id: string;
  readonly [field: string]: unknown;
}

/** Every entry below a directory, as one instance lists them to the administrator. */
export async function listTree({ url }: TestInstance, directory = '/'): Promise<Listed[]> {
  const headers = { accept: 'application/x-ndjson' };
  const target = `/v1/directories${directory}?recursive=true&max_depth=2048`;
  const { status, text } = await call('GET', url, target, { key: ADMIN_KEY, headers });
  assert.equal(status, 200);
  return text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as Listed);
}

/** The files that the namespace says an instance has on its disk; sorted. */
export function ownedFiles(tree: readonly Listed[], { id }: TestInstance): string[] {
  return tree
    .filter(({ type, instance_id, backend_type }) => type === 'file' && instance_id === id && backend_type !== 's3')
    .map(({ path }) => path)
    .sort();
}

/** Resolves when the bucket holds exactly the files that the namespace says lie there, under their own keys. */
export async function assertBucketAtRest({ s3, name }: TestBucket, tree: readonly Listed[]): Promise<void> {
  const files = tree.filter(({ type, backend_type }) => type === 'file' && backend_type === 's3');
  const keys = files.map(({ path }) => path.slice(1)).sort();
  let seen: string[] = [];
  let uploads: string[] = [];
  const isAtRest = async (): Promise<boolean> => {
    seen = (await s3.objects(name)).sort();
    uploads = await s3.uploads(name);
    return uploads.length === 0 && JSON.stringify(seen) === JSON.stringify(keys);
  };
  await waitFor('the bucket to be at rest', isAtRest).catch(() => {});
  assert.deepEqual(seen, keys, 'the objects in the bucket');
  assert.deepEqual(uploads, [], 'unfinished uploads');
}

/** Resolves when every disk holds exactly the files its instance owns, under their own names, and nothing is staged. */
export async function assertAtRest(cluster: TestCluster): Promise<void> {
  const tree = await listTree(cluster.at(0));
  for (const instance of cluster.instances) {
    const owned = ownedFiles(tree, instance);
    let seen: string[] = [];
    const isAtRest = () => {
      seen = filesOnDisk(instance);
      return stagedFiles(instance).length === 0 && JSON.stringify(seen) === JSON.stringify(owned);
    };
    await waitFor(`the disk of ${instance.id} to be at rest`, isAtRest).catch(() => {});
    assert.deepEqual(seen, owned, `the files on the disk of ${instance.id}`);
    assert.deepEqual(stagedFiles(instance), [], `staged files of ${instance.id}`);
  }
  if (cluster.bucket) await assertBucketAtRest(cluster.bucket, tree);
}

/** Nobody touched the disks, so no instance may have taken anything for a foreign file or an outside edit. */
export function assertNothingForeign(cluster: TestCluster): void {
  for (const instance of cluster.instances) {
    const strange = instance.log.filter(
      ({ msg }) =>
        msg === 'moved an unknown file out of the way' ||
        msg === 'a file changed outside CallFS became a new version' ||
        msg === 'internal error',
    );
    assert.deepEqual(strange, [], `what ${instance.id} logged`);
    assert.deepEqual(lostFiles(instance), [], `lost+found of ${instance.id}`);
  }
}

/** Every entry's parent exists and is a directory. */
export async function assertNoOrphans({ folder }: TestCluster): Promise<void> {
  const orphans = await queryStore(
    folder,
    `SELECT child.name FROM entries AS child LEFT JOIN entries AS parent ON parent.id = child.parent_id
     WHERE parent.id IS NULL OR parent.type <> 'directory'`,
  );
  assert.deepEqual(orphans, []);
}
