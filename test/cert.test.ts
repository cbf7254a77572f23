/** `callfs cert`, and what an instance says to certificates that it cannot use. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { createPrivateKey, X509Certificate } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, suite, test } from 'node:test';
import { run } from './support/command.ts';
import { unlessInstalled } from './support/installed.ts';

let folder: string;
before(() => {
  folder = mkdtempSync(join(tmpdir(), 'callfs-cert-'));
});
after(() => rmSync(folder, { recursive: true, force: true }));

const inFolder = (file: string): string => join(folder, file);
const read = (file: string): string => readFileSync(inFolder(file), 'utf8');

suite('callfs cert', () => {
  test('makes an authority and a certificate for each instance, and says what to do with them', async () => {
    const args = [
      '--host',
      '127.0.0.1',
      '--instance',
      'callfs-1=one.example,::1',
      '--instance',
      'callfs-2',
      '--days',
      '30',
    ];
    const { exitCode, stdout, stderr } = await run(['cert', '--out', inFolder('pki'), ...args]);
    assert.deepEqual([exitCode, stderr], [0, '']);
    for (const name of ['ca', 'callfs-1', 'callfs-2']) {
      assert.equal(statSync(inFolder(`pki/${name}.key`)).mode & 0o777, 0o600);
      const certificate = new X509Certificate(read(`pki/${name}.crt`));
      assert(certificate.checkPrivateKey(createPrivateKey(read(`pki/${name}.key`))));
      assert(certificate.verify(new X509Certificate(read('pki/ca.crt')).publicKey));
    }
    const one = new X509Certificate(read('pki/callfs-1.crt'));
    assert(one.checkHost('one.example') && one.checkIP('127.0.0.1') && one.checkIP('::1'));
    assert.equal(one.checkHost('two.example'), undefined);
    const days = (one.validToDate.getTime() - Date.now()) / 86_400_000;
    assert(days > 29.9 && days <= 30, `${days}`);
    for (const text of ['ca_file: ', 'cert_file: ', 'key_file: ', 'curl --cacert']) assert(stdout.includes(text), text);
    assert(!stdout.includes('PRIVATE KEY'));
  });

  test('makes certificates that openssl accepts for servers and clients', {
    skip: unlessInstalled('openssl'),
  }, () => {
    for (const purpose of ['sslserver', 'sslclient']) {
      const args = ['verify', '-x509_strict', '-purpose', purpose, '-CAfile', inFolder('pki/ca.crt')];
      const { stdout, stderr } = spawnSync('openssl', [...args, inFolder('pki/callfs-1.crt')], { encoding: 'utf8' });
      assert.match(stdout, /OK/, stderr);
    }
    const shown = spawnSync('openssl', ['x509', '-in', inFolder('pki/callfs-1.crt'), '-noout', '-text'], {
      encoding: 'utf8',
    });
    for (const text of [
      'CA:FALSE',
      'Digital Signature',
      'Web Server Authentication, TLS Web Client',
      'DNS:one.example',
    ]) {
      assert(shown.stdout.includes(text), text);
    }
  });

  test('uses an authority that exists, and overwrites nothing', async () => {
    const before = read('pki/callfs-1.key');
    const again = await run(['cert', '--out', inFolder('pki'), '--ca', inFolder('pki'), '--instance', 'callfs-1']);
    assert.equal(again.exitCode, 1);
    assert.match(again.stderr, /^callfs: .*callfs-1\.crt exists; [^\n]*\n$/);
    assert.equal(read('pki/callfs-1.key'), before);
    const more = await run(['cert', '--out', inFolder('more'), '--ca', inFolder('pki'), '--instance', 'callfs-3']);
    assert.equal(more.exitCode, 0, more.stderr);
    const ca = new X509Certificate(read('pki/ca.crt'));
    const third = new X509Certificate(read('more/callfs-3.crt'));
    assert(third.verify(ca.publicKey) && third.checkIssued(ca) && third.checkHost('localhost'));
  });

  test('says on one line what is wrong', async () => {
    for (const [args, reason] of [
      [['cert'], /--out/],
      [['cert', '--out', inFolder('x'), '--host', 'a b'], /neither a host name nor an IP address/],
      [['cert', '--out', inFolder('x'), '--instance', '../x'], /instance id/],
      [['cert', '--out', inFolder('x'), '--days', '0'], /from 1 to 3650/],
      [['cert', '--out', inFolder('x'), '--ca', folder], /has no authority \(ca\.crt, ca\.key\)/],
    ] as const) {
      const { exitCode, stdout, stderr } = await run(args);
      assert.deepEqual([exitCode, stdout], [1, '']);
      assert.match(stderr, reason);
      assert.match(stderr, /^callfs: [^\n]+\n$/);
    }
  });
});

test('an instance does not start with certificates that cannot be used, and says why on one line', async () => {
  const good = { cert_file: inFolder('pki/callfs-1.crt'), key_file: inFolder('pki/callfs-1.key') };
  const encrypted = createPrivateKey(read('pki/callfs-1.key')).export({
    ...{ type: 'pkcs8', format: 'pem' },
    ...{ cipher: 'aes-256-cbc', passphrase: 'secret' },
  });
  writeFileSync(inFolder('encrypted.key'), encrypted);
  writeFileSync(inFolder('garbage'), 'not PEM at all');
  const cases: [object, RegExp][] = [
    [{ server: { ...good, cert_file: inFolder('nowhere') } }, /server\.cert_file: .*nowhere does not exist/],
    [{ server: { ...good, key_file: folder } }, /server\.key_file: .* is a folder/],
    [{ server: { ...good, key_file: inFolder('pki/callfs-2.key') } }, /server\.key_file: .* does not belong to/],
    [{ server: { ...good, key_file: inFolder('encrypted.key') } }, /server\.key_file: .* is encrypted/],
    [{ server: { ...good, cert_file: inFolder('garbage') } }, /server\.cert_file: .* holds no certificate/],
    [{ server: { ...good, key_file: inFolder('garbage') } }, /server\.key_file: .* holds no private key/],
    [{ cluster: { ca_file: inFolder('garbage') } }, /cluster\.ca_file: .* holds no certificate/],
    [{ cluster: { ...good, cert_file: inFolder('nowhere') } }, /cluster\.cert_file: .* does not exist/],
    [{ server: { protocol: 'https' } }, /server\.protocol: https needs/],
  ];
  for (const [sections, reason] of cases) {
    const file = inFolder('config.json');
    const base = { auth: { api_key_users: { alice: 'alice-0f8b6d1c2e3a49587766' } }, server: {} };
    const over = sections as { server?: object };
    const server = { listen_addr: '127.0.0.1:0', ...over.server };
    writeFileSync(file, JSON.stringify({ ...base, ...sections, server, backend: { localfs_root_path: './data' } }));
    const { exitCode, stderr } = await run(['server', '-c', file]);
    assert.equal(exitCode, 1, stderr);
    assert.match(stderr, reason);
    assert.match(stderr, /^callfs: [^\n]+\n$/);
    assert(!stderr.includes('BEGIN'));
  }
});
