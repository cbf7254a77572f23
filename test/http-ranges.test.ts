/** Range requests at the owner and through a peer. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, suite, test } from 'node:test';
import { type Answer, call } from './support/client.ts';
import { ALICE_KEY, startCluster, type TestCluster } from './support/cluster.ts';

const PATH = '/v1/files/ranges.txt';
const TEXT = Array.from({ length: 100_000 }, (_, index) => String(index % 10)).join('');

suite('range requests', () => {
  let cluster: TestCluster;
  before(async () => {
    cluster = await startCluster({ instances: 2 });
    const created = await call('PUT', cluster.at(0).url, PATH, { body: TEXT });
    assert.equal(created.status, 201);
  });
  after(() => cluster[Symbol.asyncDispose]());

  /** The same question at the owner and at the other instance; both answers are alike but for the time and the id. */
  async function ask(headers: Readonly<Record<string, string>>): Promise<Answer> {
    const [owner, peer] = [await get(0, headers), await get(1, headers)];
    const comparable = ({ status, headers: fields, text }: Answer) => {
      const { date: _date, 'x-request-id': _id, ...rest } = fields;
      return { status, rest, text: status < 400 ? text : '' };
    };
    assert.deepEqual(comparable(peer), comparable(owner));
    return owner;
  }

  const get = (position: number, headers: Readonly<Record<string, string>>): Promise<Answer> =>
    call('GET', cluster.at(position).url, PATH, { headers });

  test('single, open and suffix ranges are 206 with exactly these bytes', async () => {
    for (const [range, start, end] of [
      ['bytes=0-0', 0, 1],
      ['bytes=5-14', 5, 15],
      ['bytes=99990-', 99_990, 100_000],
      ['bytes=-7', 99_993, 100_000],
      ['bytes=10-99999999', 10, 100_000],
    ] as const) {
      const answer = await ask({ range });
      assert.equal(answer.status, 206, range);
      assert.equal(answer.headers['content-range'], `bytes ${start}-${end - 1}/100000`);
      assert.equal(answer.headers['content-length'], String(end - start));
      assert.equal(answer.headers['x-callfs-size'], '100000');
      assert.equal(answer.text, TEXT.slice(start, end));
    }
  });

  test('several ranges come as multipart/byteranges with the promised length', async () => {
    const answer = await ask({ range: 'bytes=0-4,100-104,-3' });
    assert.equal(answer.status, 206);
    const boundary = /^multipart\/byteranges; boundary=(\S+)$/.exec(String(answer.headers['content-type']))?.[1];
    assert(boundary);
    const part = (range: string, text: string): string =>
      `\r\n--${boundary}\r\nContent-Type: text/plain\r\nContent-Range: bytes ${range}/100000\r\n\r\n${text}`;
    const expected = `${part('0-4', '01234')}${part('100-104', '01234')}${part('99997-99999', '789')}\r\n--${boundary}--\r\n`;
    assert.equal(answer.text, expected);
  });

  test('a range outside the file is 416 with the size, one that makes no sense is ignored', async () => {
    const outside = await ask({ range: 'bytes=100000-' });
    assert.equal(outside.status, 416);
    assert.equal(outside.headers['content-range'], 'bytes */100000');
    assert.equal((await ask({ range: 'bytes=nonsense' })).status, 200);
    assert.equal((await ask({ range: 'lines=1-2' })).status, 200);
  });

  test('If-Range sends the part only of the content that the client knows', async () => {
    const { etag, 'last-modified': modified } = (await get(0, {})).headers;
    assert.equal((await ask({ range: 'bytes=0-4', 'if-range': String(etag) })).status, 206);
    assert.equal((await ask({ range: 'bytes=0-4', 'if-range': String(modified) })).status, 206);
    assert.equal((await ask({ range: 'bytes=0-4', 'if-range': '"another"' })).status, 200);
    assert.equal((await ask({ range: 'bytes=0-4', 'if-range': `W/${etag}` })).status, 200);
    assert.equal((await ask({ range: 'bytes=0-4', 'if-range': 'Thu, 01 Jan 1970 00:00:00 GMT' })).status, 200);
  });

  test('HEAD has no ranges, and a failed condition comes before them', async () => {
    const head = await call('HEAD', cluster.at(1).url, PATH, { headers: { range: 'bytes=0-4' } });
    assert.equal(head.status, 200);
    assert.equal(head.headers['content-length'], '100000');
    assert.equal((await ask({ range: 'bytes=0-4', 'if-match': '"another"' })).status, 412);
  });

  test('curl continues a broken download through a peer', () => {
    const file = join(cluster.folder, 'part.txt');
    writeFileSync(file, TEXT.slice(0, 12_345));
    const url = cluster.at(1).url + PATH;
    execFileSync('curl', ['-sS', '--fail', '-C', '-', '-H', `Authorization: Bearer ${ALICE_KEY}`, '-o', file, url]);
    assert.equal(readFileSync(file, 'utf8'), TEXT);
  });
});
