/** Peer signature: what it promises. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { PeerSigner } from './peer-signature.ts';

const SECRET = 'a-secret-of-both';
const REQUEST = { method: 'PUT', target: '/v1/files/a%20b?x=1' };

function pair(options: { receiverSecret?: string | undefined; receiver?: string } = {}) {
  const time = { now: 1_700_000_000_000 };
  const clock = { now: () => time.now };
  const secret = 'receiverSecret' in options ? options.receiverSecret : SECRET;
  const sender = new PeerSigner({ secret: SECRET, instanceId: 'one', bootId: 'boot-1', clock });
  const receiver = new PeerSigner({ secret, instanceId: options.receiver ?? 'two', bootId: 'boot-2', clock });
  return { sender, receiver, time };
}

const refused = (reason: string) => ({ kind: 'refused', reason });

test('a signed request proves which instance sent it', () => {
  const { sender, receiver } = pair();
  assert.deepEqual(receiver.verify(REQUEST, sender.sign(REQUEST, 'two', 'boot-2')), {
    kind: 'peer',
    instanceId: 'one',
  });
});

test('the secret does not travel', () => {
  assert(!pair().sender.sign(REQUEST, 'two', 'boot-2').includes(SECRET));
});

test('another method, target, receiver, sender or time is refused', () => {
  const { sender, receiver } = pair();
  const header = sender.sign(REQUEST, 'two', 'boot-2');
  assert.deepEqual(receiver.verify({ ...REQUEST, method: 'DELETE' }, header), refused('wrong-signature'));
  assert.deepEqual(receiver.verify({ ...REQUEST, target: '/v1/files/other' }, header), refused('wrong-signature'));
  assert.deepEqual(receiver.verify(REQUEST, header.replace('from=one', 'from=six')), refused('wrong-signature'));
  assert.deepEqual(receiver.verify(REQUEST, header.replace('to=two', 'to=six')), refused('wrong-signature'));
  assert.deepEqual(receiver.verify(REQUEST, header.replace(/time=\d/, 'time=9')), refused('wrong-signature'));
  assert.deepEqual(receiver.verify(REQUEST, header.replace(/\.1;/, '.2;')), refused('wrong-signature'));
});

test('a repetition is refused', () => {
  const { sender, receiver } = pair();
  const header = sender.sign(REQUEST, 'two', 'boot-2');
  receiver.verify(REQUEST, header);
  assert.deepEqual(receiver.verify(REQUEST, header), refused('replayed'));
  assert.deepEqual(receiver.verify(REQUEST, sender.sign(REQUEST, 'two', 'boot-2')), {
    kind: 'peer',
    instanceId: 'one',
  });
});

test('clocks may differ by 60 seconds', () => {
  for (const [skewMs, accepted] of [
    [60_000, true],
    [-60_000, true],
    [60_001, false],
    [-60_001, false],
  ] as const) {
    const { sender, receiver, time } = pair();
    const header = sender.sign(REQUEST, 'two', 'boot-2');
    time.now += skewMs;
    const verdict = receiver.verify(REQUEST, header);
    assert.equal(verdict.kind, accepted ? 'peer' : 'refused', String(skewMs));
  }
});

test('a clock that goes by hours and comes back brings no old signature back to life', () => {
  for (const jumpMs of [5 * 3_600_000, -5 * 3_600_000]) {
    const { sender, receiver, time } = pair();
    const header = sender.sign(REQUEST, 'two', 'boot-2');
    assert.equal(receiver.verify(REQUEST, header).kind, 'peer');
    time.now += jumpMs;
    assert.deepEqual(receiver.verify(REQUEST, header), refused('clock-skew'));
    assert.equal(receiver.verify(REQUEST, sender.sign(REQUEST, 'two', 'boot-2')).kind, 'peer');
    time.now -= jumpMs;
    assert.deepEqual(receiver.verify(REQUEST, header), refused('replayed'));
  }
});

test('the wrong instance, a loop, a missing secret and garbage are told apart', () => {
  const { sender } = pair();
  const header = sender.sign(REQUEST, 'two', 'boot-2');
  assert.deepEqual(pair({ receiver: 'three' }).receiver.verify(REQUEST, header), refused('wrong-instance'));
  assert.deepEqual(pair({ receiver: 'one' }).receiver.verify(REQUEST, header), refused('loop'));
  assert.deepEqual(pair({ receiverSecret: undefined }).receiver.verify(REQUEST, header), refused('no-secret'));
  assert.deepEqual(pair({ receiverSecret: 'another' }).receiver.verify(REQUEST, header), refused('wrong-signature'));
  for (const garbage of ['', 'x', `${header}x`, header.slice(1), 'from=one']) {
    assert.deepEqual(pair().receiver.verify(REQUEST, garbage), refused('malformed'));
  }
});

test('a signature for another boot of the receiver is refused with the right one, even if it was never seen', () => {
  const { sender, receiver } = pair();
  for (const boot of ['', 'an-earlier-boot']) {
    assert.deepEqual(receiver.verify(REQUEST, sender.sign(REQUEST, 'two', boot)), refused('boot=boot-2'));
  }
  const forged = pair({ receiverSecret: 'another' });
  assert.deepEqual(forged.receiver.verify(REQUEST, sender.sign(REQUEST, 'two', '')), refused('wrong-signature'));
});
