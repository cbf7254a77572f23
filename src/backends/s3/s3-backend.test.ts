/** The S3 backend against the contract and a real server, and what is its own: keys, foreign objects, shared buckets. */
import assert from 'node:assert/strict';
import { after, before, suite, test } from 'node:test';
import { startRadosgw, UNLESS_RADOSGW } from '../../../test/support/radosgw.ts';
import type { TestS3 } from '../../../test/support/test-s3.ts';
import { waitFor } from '../../../test/support/wait-for.ts';
import type { VirtualPath } from '../../core/virtual-path.ts';
import { backendContract, chunksOf, nextContentId, put, read, testPath, textOf } from '../backend.contract.ts';
import { OpenedS3 } from './opened-s3.testing.ts';

suite('a bucket', { skip: UNLESS_RADOSGW }, () => {
  let s3: TestS3;
  before(async () => {
    s3 = await startRadosgw();
  });
  after(() => s3?.[Symbol.asyncDispose]());

  backendContract('s3', () => OpenedS3.create(s3));
  backendContract('s3 with a prefix', () => OpenedS3.create(s3, { prefix: 'team a/' }));

  const keysOf = ({ settings }: OpenedS3): Promise<string[]> => s3.objects(settings.bucket);

  test('at rest the objects have the keys of their paths, whatever they are called', async () => {
    await using opened = await OpenedS3.create(s3, { prefix: 'pre/' });
    const names = [
      'plain.txt',
      'a b',
      'a+b',
      '100%',
      'q?#&=',
      'é',
      'e\u0301',
      '日本',
      '😀',
      '..x',
      '\'"',
      '[*]',
      '~tilde',
      '\ufffe',
    ];
    for (const name of names) await put(opened, testPath('dir', name), `content of ${name}`);
    await opened.backend.settled();
    assert.deepEqual((await keysOf(opened)).sort(), names.map((name) => `pre/dir/${name}`).sort());
    for (const name of names) assert.equal(await read(opened, testPath('dir', name)), `content of ${name}`);
    for (const name of names) opened.ledger.drop(testPath('dir', name));
    await opened.backend.settled();
    assert.deepEqual(await keysOf(opened), []);
    assert.deepEqual(opened.failures, []);
  });

  test('what got to its place unrecorded goes away, whatever has become of the file since', async () => {
    await using opened = await OpenedS3.create(s3);
    const { backend, ledger, settings } = opened;
    const staged = await backend.stage(nextContentId(), chunksOf(Buffer.from('old'), 8), { maxBytes: undefined });
    const { contentId } = staged.content;
    ledger.point(testPath('dir', 'file'), staged.content);
    assert.equal((await ledger.announcePlace(contentId, 'dir/file')).kind, 'announced');
    await s3.put(settings.bucket, 'dir/file', 'old', { 'callfs-content-id': contentId });
    ledger.move(testPath('dir'), testPath('renamed'));
    backend.outboxPending();
    await backend.settled();
    assert.deepEqual(await keysOf(opened), ['renamed/file']);
    assert.deepEqual(ledger.outbox, []);
  });

  test('a path that is too long for a key has an object of its own', async () => {
    await using opened = await OpenedS3.create(s3);
    const path = testPath(...Array.from({ length: 6 }, (_, depth) => `${depth}`.repeat(200)));
    const { content } = await put(opened, path, 'deep');
    await opened.backend.settled();
    assert.deepEqual(await keysOf(opened), [`.callfs/long-names/${content.contentId}`]);
    assert.equal(await read(opened, path), 'deep');
  });

  test('content of many parts comes back byte for byte, and so do its ranges and clones', async () => {
    await using opened = await OpenedS3.create(s3);
    const path = testPath('large');
    const bytes = Buffer.from(Array.from({ length: 3_000_000 }, (_, index) => `${index % 1e6}\n`).join(''));
    const staged = await opened.backend.stage(nextContentId(), chunksOf(bytes, 1_000_003), { maxBytes: undefined });
    opened.ledger.point(path, staged.content);
    opened.backend.committed(staged);
    assert((await read(opened, path)) === bytes.toString());
    await opened.backend.settled();
    assert.deepEqual(await keysOf(opened), ['large']);
    assert((await read(opened, path)) === bytes.toString());
    const content = opened.ledger.paths.get(path);
    assert(content);
    const found = await opened.backend.open(content);
    assert(found.kind === 'intact');
    assert.equal(await textOf(found.reader, 10_000_000, 10_000_050), bytes.toString('utf8', 10_000_000, 10_000_050));
    const clone = await opened.backend.stageClone(nextContentId(), content);
    assert(clone);
    opened.ledger.point(testPath('clone'), clone.content);
    opened.backend.committed(clone);
    opened.ledger.drop(path);
    await opened.backend.settled();
    assert.deepEqual(await keysOf(opened), ['clone']);
    assert((await read(opened, testPath('clone'))) === bytes.toString());
  });

  test('a reader finds its object when that gets other keys before and while it is read', async () => {
    await using opened = await OpenedS3.create(s3);
    const { ledger, backend } = opened;
    const text = 'piece '.repeat(2_000_000);
    const staged = await backend.stage('read', chunksOf(text, 1_000_003), { maxBytes: undefined });
    ledger.point(testPath('first'), staged.content);
    backend.committed(staged);
    const found = await backend.open(staged.content);
    assert(found.kind === 'intact');
    for (const name of ['second', 'third']) {
      await backend.settled();
      const [from = ''] = ledger.paths.keys();
      ledger.move(from as VirtualPath, testPath(name));
      backend.outboxPending();
      await waitFor(`the object to be at ${name}`, async () => {
        await backend.settled();
        return (await keysOf(opened)).join() === name;
      });
      assert((await textOf(found.reader, 0, text.length)) === text);
    }
  });

  test('a source that breaks off leaves no object and no unfinished upload', async () => {
    await using opened = await OpenedS3.create(s3);
    async function* broken(): AsyncGenerator<Uint8Array> {
      for (let sent = 0; sent < 40; sent++) yield Buffer.alloc(1024 * 1024, sent);
      throw new Error('the client left');
    }
    await assert.rejects(opened.backend.stage('broken', broken(), { maxBytes: undefined }), /the client left/);
    assert.deepEqual(await keysOf(opened), []);
    assert.deepEqual(await s3.uploads(opened.settings.bucket), []);
  });

  test('directories move with all objects below, also around in a circle', async () => {
    await using opened = await OpenedS3.create(s3);
    const { ledger, backend } = opened;
    for (let number = 0; number < 30; number++) await put(opened, testPath('a', 'sub', `${number}`), `a ${number}`);
    await put(opened, testPath('b', 'one'), 'b one');
    await put(opened, testPath('b', 'sub', '1'), 'b 1');
    await backend.settled();
    for (const [from, to] of [
      ['a', 't'],
      ['b', 'a'],
      ['t', 'b'],
    ] as const)
      ledger.move(testPath(from), testPath(to));
    backend.outboxPending();
    assert.equal(await read(opened, testPath('b', 'sub', '7')), 'a 7');
    await waitFor('all objects to be where they belong', async () => {
      await backend.settled();
      const expected = [...ledger.paths.keys()].map((path) => path.slice(1)).sort();
      return JSON.stringify((await keysOf(opened)).sort()) === JSON.stringify(expected);
    });
    assert.equal(await read(opened, testPath('a', 'sub', '1')), 'b 1');
    assert.equal(await read(opened, testPath('b', 'sub', '1')), 'a 1');
    await waitFor('nothing to be left to do', async () => {
      await backend.settled();
      return ledger.outbox.length === 0;
    });
    assert.deepEqual(opened.lostAndFound, []);
    assert.deepEqual(opened.failures, []);
  });

  test('an unknown object in the way is moved aside, and one that was changed outside is noticed and never destroyed', async () => {
    await using opened = await OpenedS3.create(s3);
    const { settings, ledger, backend } = opened;
    await s3.put(settings.bucket, 'taken', 'foreign bytes');
    const path = testPath('taken');
    await put(opened, path, 'ours');
    await waitFor('the object to be moved aside', async () => {
      await backend.settled();
      const keys = await keysOf(opened);
      return keys.includes('taken') && keys.length === 2 && ledger.outbox.length === 0;
    });
    const [lost = ''] = (await keysOf(opened)).filter((key) => key.startsWith('.callfs/lost+found/'));
    assert.equal(await s3.get(settings.bucket, lost).then(String), 'foreign bytes');
    assert.equal(await s3.get(settings.bucket, 'taken').then(String), 'ours');
    await s3.put(settings.bucket, 'taken', 'edited behind our back');
    const content = ledger.paths.get(path);
    assert(content);
    assert.equal((await backend.open(content)).kind, 'changed');
    const observed = await backend.observe(path, 'adopted');
    assert.equal(observed?.content.sizeBytes, 22);
    assert.equal(observed?.content.storageKey, 'taken');
    ledger.drop(path);
    await backend.settled();
    const left = await keysOf(opened);
    assert.equal(left.length, 2);
    assert(
      left.every((key) => key.startsWith('.callfs/lost+found/')),
      String(left),
    );
  });

  test('what an earlier process left is settled or removed', async () => {
    await using opened = await OpenedS3.create(s3);
    const { ledger, settings } = opened;
    const kept = await opened.backend.stage(nextContentId(), chunksOf('kept'), { maxBytes: undefined });
    await opened.backend.stage(nextContentId(), chunksOf('lost'), { maxBytes: undefined });
    ledger.point(testPath('kept'), kept.content);
    await opened.restart();
    await waitFor('the bucket to follow', async () => {
      await opened.backend.settled();
      return JSON.stringify(await s3.objects(settings.bucket)) === '["kept"]';
    });
    assert.equal(await read(opened, testPath('kept')), 'kept');
  });

  test('an instance leaves alone what another one answers for, and takes the key when it is free', async () => {
    await using opened = await OpenedS3.create(s3);
    const { ledger, backend } = opened;
    const path = testPath('shared');
    await put(opened, path, 'of the first');
    await backend.settled();
    // It was removed and made again at the other instance before the first has removed its object.
    const old = ledger.paths.get(path);
    assert(old);
    ledger.paths.delete(path);
    await using second = new OpenedS3(s3, opened.settings, ledger);
    await second.backend[Symbol.asyncDispose]();
    second.open('other');
    ledger.owners.set(path, 'other');
    const staged = await second.backend.stage(nextContentId(), chunksOf('of the second'), { maxBytes: undefined });
    ledger.point(path, staged.content);
    second.backend.committed(staged);
    await second.backend.settled();
    assert.equal(await s3.get(opened.settings.bucket, 'shared').then(String), 'of the first');
    assert.equal(await read(second, path), 'of the second');
    ledger.outbox.push({ kind: 'discard', ...old, seq: 1, backendType: 's3', path });
    await backend.settled();
    await waitFor('the other to take the key', async () => {
      await second.backend.settled();
      return String(await s3.get(opened.settings.bucket, 'shared').catch(() => '')) === 'of the second';
    });
    assert.deepEqual([...opened.lostAndFound, ...second.lostAndFound], []);
  });

  test('credentials and buckets that are wrong are told as what is to be put right', async () => {
    await using wrongKey = await OpenedS3.create(s3, { secretKey: 'another-secret' });
    await assert.rejects(wrongKey.backend.check(), /credentials/);
    await assert.rejects(wrongKey.backend.stage('x', chunksOf('x'), { maxBytes: undefined }), /backend\.s3_access_key/);
    await using noBucket = await OpenedS3.create(s3, { bucket: 'there-is-none' });
    await assert.rejects(noBucket.backend.check(), /no such bucket.*backend\.s3_bucket_name/);
  });
});
