/** What the crash tests do to a namespace: every kind of change, each with what must be there before and after it. */
import assert from 'node:assert/strict';
import { type Answer, call } from './client.ts';
import type { TestCluster } from './cluster.ts';

/** The owner holds the files, the forwarder is asked, the target gets what moves. */
export const ROLES = ['owner', 'forwarder', 'target'] as const;
export type Role = (typeof ROLES)[number];

export interface ExpectedEntry {
  /** Bytes of a file; undefined: a directory. */
  readonly body: string | undefined;
  /** Undefined: whichever, as long as the change was not acknowledged. */
  readonly etag: string | undefined;
  readonly holder: Role | undefined;
}

/** By path below the folder of the test. */
export type ExpectedTree = Readonly<Record<string, ExpectedEntry>>;

export interface Change {
  readonly before: ExpectedTree;
  readonly after: ExpectedTree;
  readonly send: () => Promise<Answer>;
}

export interface Operation {
  readonly name: string;
  /** Makes in a new, empty folder what the change needs. */
  readonly prepare: (cluster: TestCluster, home: string) => Promise<Change>;
}

/** More than what one write or one packet takes, so that a change can be caught in the middle of it. */
const SIZE_BYTES = 400_000;

const contentOf = (text: string): string => `${text}\n`.repeat(Math.ceil(SIZE_BYTES / (text.length + 1)));
const urlOf = (cluster: TestCluster, role: Role): string => cluster.at(ROLES.indexOf(role)).url;
const directory = (): ExpectedEntry => ({ body: undefined, etag: undefined, holder: undefined });

async function put(cluster: TestCluster, home: string, path: string, holder: Role): Promise<ExpectedEntry> {
  const body = contentOf(`${home}${path} of the ${holder}`);
  const answer = await call('PUT', urlOf(cluster, holder), `/v1/files${home}${path}`, { body });
  assert.equal(answer.status, 201, answer.text);
  return { body, etag: String(answer.json().etag), holder };
}

async function putTree(cluster: TestCluster, home: string, name: string): Promise<Record<string, ExpectedEntry>> {
  const tree: Record<string, ExpectedEntry> = { [name]: directory(), [`${name}/deep`]: directory() };
  for (const role of ROLES) {
    const path = role === 'owner' ? `${name}/${role}.bin` : `${name}/deep/${role}.bin`;
    tree[path] = await put(cluster, home, path, role);
  }
  return tree;
}

function patch(cluster: TestCluster, path: string, change: object): Promise<Answer> {
  return call('PATCH', urlOf(cluster, 'forwarder'), `/v1/files${path}`, { body: JSON.stringify(change) });
}

export const OPERATIONS: readonly Operation[] = [
  {
    name: 'create',
    async prepare(cluster, home) {
      const body = contentOf(`${home} created`);
      const file = { body, etag: undefined, holder: 'owner' } as const;
      return {
        before: {},
        after: { new: directory(), 'new/deep': directory(), 'new/deep/file.bin': file },
        send: () => call('POST', urlOf(cluster, 'owner'), `/v1/files${home}new/deep/file.bin`, { body }),
      };
    },
  },
  {
    name: 'replace',
    async prepare(cluster, home) {
      const body = contentOf(`${home} replaced`);
      return {
        before: { 'file.bin': await put(cluster, home, 'file.bin', 'owner') },
        after: { 'file.bin': { body, etag: undefined, holder: 'owner' } },
        send: () => call('PUT', urlOf(cluster, 'forwarder'), `/v1/files${home}file.bin`, { body }),
      };
    },
  },
  {
    name: 'delete',
    async prepare(cluster, home) {
      return {
        before: { 'file.bin': await put(cluster, home, 'file.bin', 'owner') },
        after: {},
        send: () => call('DELETE', urlOf(cluster, 'forwarder'), `/v1/files${home}file.bin`),
      };
    },
  },
  {
    name: 'delete a tree',
    async prepare(cluster, home) {
      return {
        before: await putTree(cluster, home, 'tree'),
        after: {},
        send: () => call('DELETE', urlOf(cluster, 'forwarder'), `/v1/files${home}tree?recursive=true`),
      };
    },
  },
  {
    name: 'rename a file',
    async prepare(cluster, home) {
      const file = await put(cluster, home, 'old.bin', 'owner');
      return {
        before: { 'old.bin': file },
        after: { 'new.bin': file },
        send: () => patch(cluster, `${home}old.bin`, { name: 'new.bin' }),
      };
    },
  },
  {
    name: 'rename a directory',
    async prepare(cluster, home) {
      const before = await putTree(cluster, home, 'old');
      const after = Object.entries(before).map(([path, entry]) => [path.replace(/^old/, 'new'), entry] as const);
      return {
        before,
        after: Object.fromEntries(after),
        send: () => patch(cluster, `${home}old`, { name: 'new' }),
      };
    },
  },
  {
    name: 'move to another instance',
    async prepare(cluster, home) {
      const file = await put(cluster, home, 'here.bin', 'owner');
      const change = { destination: `${home}there.bin`, instance: cluster.at(ROLES.indexOf('target')).id };
      return {
        before: { 'here.bin': file },
        after: { 'there.bin': { ...file, holder: 'target' } },
        send: () => patch(cluster, `${home}here.bin`, change),
      };
    },
  },
  {
    name: 'copy a file',
    async prepare(cluster, home) {
      const file = await put(cluster, home, 'here.bin', 'owner');
      const copy = { ...file, etag: undefined, holder: 'target' } as const;
      const change = { destination: `${home}new/there.bin`, copy: true, create_parents: true };
      return {
        before: { 'here.bin': file },
        after: { 'here.bin': file, new: directory(), 'new/there.bin': copy },
        send: () => patch(cluster, `${home}here.bin`, { ...change, instance: cluster.at(ROLES.indexOf('target')).id }),
      };
    },
  },
  {
    name: 'copy a directory',
    async prepare(cluster, home) {
      const before = await putTree(cluster, home, 'tree');
      const copies = Object.entries(before).map(
        ([path, entry]) => [path.replace(/^tree/, 'copy'), { ...entry, etag: undefined }] as const,
      );
      return {
        before,
        after: { ...before, ...Object.fromEntries(copies) },
        send: () => patch(cluster, `${home}tree`, { destination: `${home}copy`, copy: true }),
      };
    },
  },
  {
    name: 'move the bytes of a directory',
    async prepare(cluster, home) {
      const tree = Object.entries(await putTree(cluster, home, 'tree'));
      const heldBy = (holder: Role | undefined): ExpectedTree =>
        Object.fromEntries(
          tree.map(([path, entry]) => [path, { ...entry, holder: entry.body === undefined ? undefined : holder }]),
        );
      return {
        // Each file goes by itself.
        before: heldBy(undefined),
        after: heldBy('target'),
        send: () => patch(cluster, `${home}tree`, { instance: cluster.at(ROLES.indexOf('target')).id }),
      };
    },
  },
];
