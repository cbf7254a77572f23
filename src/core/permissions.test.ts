/** Unix permissions as the wire contract has them: classes by name, the sticky bit, administrators. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import type { DirectoryEntry } from './entry.ts';
import { EXECUTE, maySeverChild, permits, primaryGroup, READ, type User, WRITE } from './permissions.ts';

const user = (name: string, groups: readonly string[] = [], admin = false): User => ({
  name,
  uid: 1000,
  gid: 1000,
  groups,
  admin,
});

const directory = (mode: number, owner = 'alice', group = 'staff'): DirectoryEntry => ({
  type: 'directory',
  id: 'id',
  parentId: 'root',
  name: 'name',
  mode,
  owner,
  group,
  uid: 1000,
  gid: 1000,
  mtimeMs: 0,
  createdAtMs: 0,
  version: 1,
  instanceId: 'instance-1',
  backendType: 'localfs',
});

const alice = user('alice', ['staff']);
const colleague = user('carol', ['guests', 'staff']);
const stranger = user('bob', ['guests']);

describe('A permission', () => {
  it('is that of the owner, of the group or of the others, whichever comes first', () => {
    for (let bits = 0; bits < 8; bits++) {
      for (let wanted = 0; wanted < 8; wanted++) {
        const granted = (bits & wanted) === wanted;
        assert.equal(permits(alice, directory(bits << 6), wanted), granted);
        assert.equal(permits(colleague, directory(bits << 3), wanted), granted);
        assert.equal(permits(stranger, directory(bits), wanted), granted);
      }
    }
  });

  it('of a later class does not help who is in an earlier one', () => {
    assert.equal(permits(alice, directory(0o077), READ), false);
    assert.equal(permits(colleague, directory(0o707), READ), false);
    assert.equal(permits(stranger, directory(0o770), READ), false);
  });

  it('needs every bit that is wanted', () => {
    assert.equal(permits(alice, directory(0o500), WRITE | EXECUTE), false);
    assert.equal(permits(alice, directory(0o300), WRITE | EXECUTE), true);
    assert.equal(permits(alice, directory(0o600), READ | WRITE | EXECUTE), false);
  });

  it('of the owner goes by the name, so that users who share the default numbers own nothing of each other', () => {
    assert.equal(stranger.uid, directory(0).uid);
    assert.equal(permits(stranger, directory(0o700), READ), false);
  });

  it('of the group is also for the user that the group is named after', () => {
    assert.equal(permits(user('dave'), directory(0o070, 'alice', 'dave'), READ | WRITE | EXECUTE), true);
  });

  it('is never denied to an administrator', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 0o7777 }), fc.integer({ min: 0, max: 7 }), (mode, wanted) => {
        assert.equal(permits(user('operator', [], true), directory(mode), wanted), true);
      }),
    );
  });

  it('does not come from the special bits', () => {
    assert.equal(permits(alice, directory(0o7000), READ), false);
    assert.equal(permits(stranger, directory(0o7000), EXECUTE), false);
  });
});

describe('Taking a child out of a directory', () => {
  const child = directory(0, 'alice');

  it('needs write and search there, whoever owns the child', () => {
    for (const [mode, allowed] of [
      [0o003, true],
      [0o007, true],
      [0o002, false],
      [0o001, false],
      [0o005, false],
      [0o774, false],
    ] as const) {
      assert.equal(maySeverChild(stranger, directory(mode), child), allowed, mode.toString(8));
    }
    assert.equal(maySeverChild(alice, directory(0o770, 'bob', 'guests'), child), false);
  });

  it('is for the owners of child and directory only, where the sticky bit is set', () => {
    const shared = directory(0o1777, 'dave');
    assert.equal(maySeverChild(alice, shared, child), true);
    assert.equal(maySeverChild(user('dave'), shared, child), true);
    assert.equal(maySeverChild(stranger, shared, child), false);
    assert.equal(maySeverChild(colleague, shared, child), false);
  });

  it('still needs write and search where the sticky bit is set', () => {
    assert.equal(maySeverChild(alice, directory(0o1755, 'dave', 'guests'), child), false);
    assert.equal(maySeverChild(user('dave'), directory(0o1077, 'dave'), child), false);
  });

  it('is always for an administrator', () => {
    assert.equal(maySeverChild(user('operator', [], true), directory(0o1000, 'dave'), child), true);
  });
});

it('A user who has no groups has one of its own', () => {
  assert.equal(primaryGroup(user('alice', ['staff', 'guests'])), 'staff');
  assert.equal(primaryGroup(user('alice')), 'alice');
});
