/** Keys and users: what they promise. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CallFSError } from '../core/errors.ts';
import { Authenticator } from './authenticator.ts';

const ALICE = 'key-of-alice-0123456789';
const PLAIN = 'key-without-name-0123456';

const authenticator = new Authenticator({
  apiKeys: [PLAIN, 'another-key-without-name'],
  apiKeyUsers: { alice: ALICE, bob: 'key-of-bob-0123456789' },
  users: { alice: { uid: 1001, gid: 1002, groups: ['staff', 'dev'], admin: true } },
});

test('a key is its user, with what the configuration says of it', () => {
  const alice = { name: 'alice', uid: 1001, gid: 1002, groups: ['staff', 'dev'], admin: true };
  assert.deepEqual(authenticator.authenticate(`Bearer ${ALICE}`), alice);
  const bob = { name: 'bob', uid: 1000, gid: 1000, groups: [], admin: false };
  assert.deepEqual(authenticator.authenticate('Bearer key-of-bob-0123456789'), bob);
});

test('the scheme is case-insensitive', () => {
  for (const scheme of ['bearer', 'BEARER', 'bEaReR']) {
    assert.equal(authenticator.authenticate(`${scheme} ${ALICE}`).name, 'alice');
  }
});

test('a key without a name gets one that depends on the key, not on its position', () => {
  const alone = new Authenticator({ apiKeys: [PLAIN], apiKeyUsers: {}, users: {} });
  const last = new Authenticator({ apiKeys: ['another-key-without-name', PLAIN], apiKeyUsers: {}, users: {} });
  const { name } = authenticator.authenticate(`Bearer ${PLAIN}`);
  assert.match(name, /^api-user-[0-9a-f]{12}$/);
  assert.equal(alone.authenticate(`Bearer ${PLAIN}`).name, name);
  assert.equal(last.authenticate(`Bearer ${PLAIN}`).name, name);
  assert(!name.includes(PLAIN.slice(0, 6)));
});

test('anything else is refused with a challenge', () => {
  const wrong = [undefined, '', 'Bearer', 'Bearer ', `Basic ${ALICE}`, ALICE, `Bearer ${ALICE}x`, `Bearer x ${ALICE}`];
  for (const header of wrong) {
    assert.throws(
      () => authenticator.authenticate(header),
      (error) =>
        error instanceof CallFSError &&
        error.code === 'AUTHENTICATION_FAILED' &&
        error.headers['www-authenticate'] === 'Bearer',
      String(header),
    );
  }
});
