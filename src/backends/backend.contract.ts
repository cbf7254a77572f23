/** What every backend must do, as tests. The namespace is played by a small ledger. */
import assert from 'node:assert/strict';
import { hash } from 'node:crypto';
import { suite, test } from 'node:test';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { crc32 } from 'node:zlib';
import type { Content } from '../core/entry.ts';
import { CallFSError } from '../core/errors.ts';
import { isWithin, pathOfNames, type VirtualPath } from '../core/virtual-path.ts';
import type { Backend, ContentLedger, ContentReader, StagedContent, Unsettled } from './backend.ts';

/** A namespace of files only: what each path points to, and what commits left to do. */
export class TestLedger implements ContentLedger {
  readonly paths = new Map<VirtualPath, Content>();
  outbox: Unsettled[] = [];
  #seq = 0;

  async locateContents(contentIds: readonly string[]): Promise<{ contentId: string; path: VirtualPath }[]> {
    return [...this.paths]
      .filter(([, { contentId }]) => contentIds.includes(contentId))
      .map(([path, { contentId }]) => ({ contentId, path }));
  }

  async listOutbox(_instanceId: string, limit: number): Promise<readonly Unsettled[]> {
    return this.outbox.slice(0, limit);
  }

  async forgetOutbox(seqs: readonly number[]): Promise<void> {
    this.outbox = this.outbox.filter(({ seq }) => !seqs.includes(seq));
  }

  async hasFile(path: VirtualPath): Promise<boolean> {
    return this.paths.has(path);
  }

  /** The commit of a write: the path points to the new content, the old one is garbage. */
  point(path: VirtualPath, content: Content): void {
    this.drop(path);
    this.paths.set(path, content);
  }

  /** The commit of a removal. */
  drop(path: VirtualPath): void {
    const content = this.paths.get(path);
    if (!content) return;
    this.paths.delete(path);
    this.outbox.push({ kind: 'discard', ...content, seq: ++this.#seq, backendType: 'localfs', path });
  }

  /** The commit of a move: of a file, or of all files below a directory. */
  move(path: VirtualPath, to: VirtualPath): void {
    const content = this.paths.get(path);
    for (const [at, moved] of [...this.paths]) {
      if (!isWithin(at, path)) continue;
      this.paths.delete(at);
      this.paths.set(`${to}${at.slice(path.length)}` as VirtualPath, moved);
    }
    this.outbox.push({ kind: 'move', seq: ++this.#seq, path, to, content });
  }
}

export interface OpenedBackend extends AsyncDisposable {
  readonly backend: Backend;
  readonly ledger: TestLedger;
}

let contents = 0;
export const nextContentId = (): string => `content-${++contents}`;
export const testPath = (...names: string[]): VirtualPath => pathOfNames(names);

export async function* chunksOf(text: string | Uint8Array, size = 7): AsyncGenerator<Uint8Array> {
  const bytes = Buffer.from(text);
  for (let at = 0; at < bytes.length; at += size) {
    await nextTurn();
    yield bytes.subarray(at, at + size);
  }
}

export async function textOf(reader: ContentReader, start = 0, end = reader.sizeBytes): Promise<string> {
  const parts: Uint8Array[] = [];
  const sink = {
    async write(chunk: Uint8Array): Promise<void> {
      await nextTurn();
      parts.push(Uint8Array.from(chunk));
    },
  };
  await reader.copyTo(sink, start, end);
  return Buffer.concat(parts).toString('utf8');
}

/** Stages and commits. */
export async function put({ backend, ledger }: OpenedBackend, path: VirtualPath, text: string): Promise<StagedContent> {
  const staged = await backend.stage(nextContentId(), chunksOf(text), { maxBytes: undefined });
  ledger.point(path, staged.content);
  backend.committed(staged);
  backend.outboxPending();
  return staged;
}

/** The text under a path as the namespace has it; undefined when the backend does not find it. */
export async function read({ backend, ledger }: OpenedBackend, path: VirtualPath): Promise<string | undefined> {
  const content = ledger.paths.get(path);
  assert(content);
  const found = await backend.open(content, path);
  if (found.kind !== 'intact') return undefined;
  await using reader = found.reader;
  return await textOf(reader);
}

export function backendContract(name: string, open: () => Promise<OpenedBackend>): void {
  suite(`${name} keeps the backend contract`, () => {
    test('staged content is counted, checksummed and readable before anything points to it', async () => {
      await using opened = await open();
      const staged = await opened.backend.stage('c-1', chunksOf('hello world'), { maxBytes: undefined });
      assert.equal(staged.content.contentId, 'c-1');
      assert.equal(staged.content.sizeBytes, 11);
      assert.equal(staged.content.checksum, crc32('hello world').toString(16).padStart(8, '0'));
      assert.equal(staged.content.sha256, hash('sha256', 'hello world'));
      await using reader = await staged.open();
      assert.equal(await textOf(reader), 'hello world');
    });

    test('committed content is found at once and still after settling', async () => {
      await using opened = await open();
      const path = testPath('a', 'b.txt');
      await put(opened, path, 'content');
      assert.equal(await read(opened, path), 'content');
      await opened.backend.settled();
      assert.equal(await read(opened, path), 'content');
      const content = opened.ledger.paths.get(path);
      assert(content);
      assert.equal(await opened.backend.probe(content, path), 'intact');
    });

    test('a reader gives ranges, whole small contents and empty contents', async () => {
      await using opened = await open();
      const path = testPath('range');
      const staged = await put(opened, path, '0123456789');
      const found = await opened.backend.open(staged.content, path);
      assert(found.kind === 'intact');
      await using reader = found.reader;
      assert.equal(await textOf(reader, 2, 5), '234');
      assert.equal(await textOf(reader, 4, 4), '');
      assert.equal(Buffer.from(await reader.readAll()).toString(), '0123456789');
      const empty = await put(opened, testPath('empty'), '');
      assert.equal(empty.content.sizeBytes, 0);
      assert.equal(empty.content.checksum, '00000000');
      assert.equal(await read(opened, testPath('empty')), '');
    });

    test('content larger than every buffer comes back byte for byte', async () => {
      await using opened = await open();
      const path = testPath('large');
      const text = Array.from({ length: 200_000 }, (_, index) => `line ${index}\n`).join('');
      const staged = await opened.backend.stage(nextContentId(), chunksOf(text, 100_003), { maxBytes: undefined });
      opened.ledger.point(path, staged.content);
      opened.backend.committed(staged);
      assert.equal(await read(opened, path), text);
    });

    test('a replaced content is removed, and who reads it reads on', async () => {
      await using opened = await open();
      const path = testPath('replaced');
      await put(opened, path, 'first');
      await opened.backend.settled();
      const first = opened.ledger.paths.get(path);
      assert(first);
      const before = await opened.backend.open(first, path);
      assert(before.kind === 'intact');
      await using reader = before.reader;
      await put(opened, path, 'second');
      await opened.backend.settled();
      assert.equal(await read(opened, path), 'second');
      assert.equal(await textOf(reader), 'first');
      assert.notEqual((await opened.backend.open(first, path)).kind, 'intact');
      assert.deepEqual(opened.ledger.outbox, []);
    });

    test('replacing many times in a row ends with the last content, whatever was settled between', async () => {
      await using opened = await open();
      const path = testPath('busy');
      for (let round = 0; round < 50; round++) {
        await put(opened, path, `version ${round}`);
        assert.equal(await read(opened, path), `version ${round}`);
      }
      await opened.backend.settled();
      assert.equal(await read(opened, path), 'version 49');
      assert.deepEqual(opened.ledger.outbox, []);
    });

    test('a removed content is gone, and one created at its path at once is not', async () => {
      await using opened = await open();
      const path = testPath('dir', 'again');
      const first = await put(opened, path, 'same size');
      opened.ledger.drop(path);
      await put(opened, path, 'size same');
      await opened.backend.settled();
      assert.equal(await read(opened, path), 'size same');
      assert.notEqual(await opened.backend.probe(first.content, path), 'intact');
    });

    test('a clone, where there can be one, is a content of its own with the same bytes', async () => {
      await using opened = await open();
      const [path, copy] = [testPath('original'), testPath('copy')];
      const { content } = await put(opened, path, 'shared bytes');
      await opened.backend.settled();
      const clone = await opened.backend.stageClone(nextContentId(), content, path);
      if (!clone) return;
      const { contentId, storageStamp: _ofTheClone, ...sums } = clone.content;
      assert.notEqual(contentId, content.contentId);
      assert.deepEqual({ ...content, ...sums }, content);
      opened.ledger.point(copy, clone.content);
      opened.backend.committed(clone);
      opened.ledger.drop(path);
      await opened.backend.settled();
      assert.equal(await read(opened, copy), 'shared bytes');
    });

    test('discarding a staged content leaves nothing of it', async () => {
      await using opened = await open();
      const staged = await opened.backend.stage(nextContentId(), chunksOf('loser'), { maxBytes: undefined });
      await opened.backend.discard(staged);
      assert.equal(await opened.backend.probe(staged.content, testPath('loser')), 'missing');
    });

    test('a content with an unknown fate is kept when the namespace points to it and removed when not', async () => {
      await using opened = await open();
      const kept = await opened.backend.stage(nextContentId(), chunksOf('kept'), { maxBytes: undefined });
      const lost = await opened.backend.stage(nextContentId(), chunksOf('lost'), { maxBytes: undefined });
      opened.ledger.point(testPath('kept'), kept.content);
      opened.backend.reconcile(kept);
      opened.backend.reconcile(lost);
      await opened.backend.settled();
      assert.equal(await read(opened, testPath('kept')), 'kept');
      assert.equal(await opened.backend.probe(lost.content, testPath('lost')), 'missing');
    });

    test('more bytes than allowed reject and leave nothing', async () => {
      await using opened = await open();
      await assert.rejects(
        opened.backend.stage('too-large', chunksOf('0123456789'), { maxBytes: 9 }),
        (error) => error instanceof CallFSError && error.code === 'PAYLOAD_TOO_LARGE',
      );
      const exact = await opened.backend.stage('fits', chunksOf('0123456789'), { maxBytes: 10 });
      assert.equal(exact.content.sizeBytes, 10);
    });

    test('a source that fails rejects with its own error', async () => {
      await using opened = await open();
      async function* broken(): AsyncGenerator<Uint8Array> {
        yield Buffer.from('half');
        throw new Error('the client left');
      }
      await assert.rejects(opened.backend.stage('broken', broken(), { maxBytes: undefined }), /the client left/);
    });
  });
}
