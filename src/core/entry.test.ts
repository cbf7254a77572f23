/** How an entry is written in the protocol. */
import assert from 'node:assert/strict';
import { it } from 'node:test';
import { entityTag, type FileEntry, formatMode, haveSameBytes } from './entry.ts';

it('A mode has at least four octal digits', () => {
  assert.deepEqual([0, 0o7, 0o644, 0o755, 0o1777, 0o7777].map(formatMode), [
    '0000',
    '0007',
    '0644',
    '0755',
    '1777',
    '7777',
  ]);
});

it('An entity tag is strong and names the content, not the version, the time or the place', () => {
  const file: FileEntry = {
    type: 'file',
    id: 'id',
    parentId: 'root',
    name: 'name',
    mode: 0o644,
    owner: 'alice',
    group: 'staff',
    uid: 1000,
    gid: 1000,
    mtimeMs: 0,
    createdAtMs: 0,
    version: 1,
    instanceId: 'instance-1',
    backendType: 'localfs',
    contentId: 'content-1',
    etag: 'content-1',
    sizeBytes: 0,
    checksum: '00000000',
    storageKey: null,
    storageStamp: '',
    contentType: null,
  };
  assert.equal(entityTag(file), '"content-1"');
  assert.equal(entityTag({ ...file, version: 2, mtimeMs: 1, storageStamp: 'other' }), entityTag(file));
  assert.equal(entityTag({ ...file, contentId: 'content-2' }), entityTag(file), 'the same bytes elsewhere');
  assert.notEqual(entityTag({ ...file, etag: 'content-2' }), entityTag(file));
});

it('Bytes are the same when all sums are that are known of both', () => {
  const bytes = { sizeBytes: 3, checksum: '00000001', sha256: 'aa' };
  const { sha256: _unknown, ...stored } = bytes;
  for (const [other, same] of [
    [bytes, true],
    [stored, true],
    [{ ...bytes, sha256: 'bb' }, false],
    [{ ...bytes, checksum: '00000002' }, false],
    [{ ...stored, sizeBytes: 4 }, false],
  ] as const) {
    assert.equal(haveSameBytes(bytes, other), same);
    assert.equal(haveSameBytes(other, bytes), same);
  }
});
