/** The table of RFC 9110 (support/http-cases.ts), at the owner and at an instance that does not own the file: the same answer. */
import assert from 'node:assert/strict';
import { after, before, suite, test } from 'node:test';
import { call } from './support/client.ts';
import { ALICE_KEY, startCluster, type TestCluster } from './support/cluster.ts';
import { CONTENT, type Given, HTTP_CASES, type HttpCase } from './support/http-cases.ts';
import { type RawAnswer, rawCall } from './support/raw-connection.ts';

const AS_ALICE = { authorization: `Bearer ${ALICE_KEY}` };
const DAY_MS = 86_400_000;

suite('every case of RFC 9110', () => {
  let cluster: TestCluster;
  before(async () => {
    cluster = await startCluster({ instances: 2 });
  });
  after(() => cluster[Symbol.asyncDispose]());

  /** Makes what the case starts from, at the first instance. */
  async function provide(target: string, given: Given): Promise<{ etag: string; modifiedMs: number }> {
    const { url } = cluster.at(0);
    await call('DELETE', url, `${target}?recursive=true`);
    if (given === 'nothing') return { etag: '"none"', modifiedMs: Date.now() };
    const made =
      given === 'directory'
        ? await call('POST', url, `${target}/`)
        : await call('POST', url, target, { body: given === 'file' ? CONTENT : '' });
    assert.equal(made.status, 201, made.text);
    const { etag, 'x-callfs-mtime': modified } = made.headers;
    return { etag: String(etag), modifiedMs: Date.parse(String(modified)) };
  }

  /** The answer to a case at one instance, and what its own entry has that another run's has not. */
  async function answerAt(position: number, target: string, { method, given, headers, body }: HttpCase) {
    const { etag, modifiedMs } = await provide(target, given);
    const dates: Record<string, number> = {
      modified: modifiedMs,
      earlier: modifiedMs - DAY_MS,
      later: modifiedMs + DAY_MS,
    };
    const fill = (value: string): string =>
      value.replace(/\{(\w+)\}/g, (_, name) => (name === 'etag' ? etag : new Date(dates[name] ?? 0).toUTCString()));
    const filled = Object.fromEntries(Object.entries(headers).map(([name, value]) => [name, fill(value)]));
    const answer = await rawCall(method, cluster.at(position).url, target, {
      headers: { ...AS_ALICE, ...filled },
      ...(body === undefined ? {} : { body }),
    });
    return { answer, etag };
  }

  /** Without what is new with every request and with every file that is made. */
  function masked({ status, headers, body }: RawAnswer, givenEtag: string): object {
    const { date: _date, 'x-request-id': requestId, ...rest } = headers;
    assert(requestId);
    const mask = (text: string): string =>
      text
        .replaceAll(requestId, '<request>')
        .replaceAll(givenEtag.slice(1, -1), '<etag>')
        .replace(/[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}/g, '<new id>')
        .replace(/\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT|\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ/g, '<time>');
    const fields = Object.fromEntries(Object.entries(rest).map(([name, value]) => [name, mask(value)]));
    return { status, headers: fields, body: mask(body.toString('latin1')) };
  }

  function assertAnswered({ status, answered = {}, text, parts }: HttpCase, answer: RawAnswer, method: string): void {
    assert.equal(answer.status, status, answer.text);
    for (const [name, value] of Object.entries(answered)) {
      if (value) assert.match(answer.headers[name] ?? '', value, name);
      else assert.equal(answer.headers[name], undefined, name);
    }
    if (text !== undefined) assert.equal(answer.text, text);
    if (parts !== undefined) assert.equal(answer.text.match(/^Content-Range: bytes \d+-\d+\/10\r$/gm)?.length, parts);
    if (method === 'HEAD' || status === 304 || status === 204) assert.equal(answer.body.length, 0);
    else if (status >= 400) assert.equal(answer.json().request_id, answer.headers['x-request-id']);
    assert.doesNotMatch(answer.text, /never-echo/);
  }

  test('is one of many', () => {
    assert(HTTP_CASES.length >= 150, `${HTTP_CASES.length}`);
    assert.equal(new Set(HTTP_CASES.map(({ name }) => name)).size, HTTP_CASES.length);
  });

  for (const [index, wanted] of HTTP_CASES.entries()) {
    test(wanted.name, async () => {
      const target = `/v1/files/case-${index}`;
      // What is created where nothing is belongs to the instance that is asked, so there is only one answer to compare.
      const positions = wanted.given === 'nothing' && wanted.status === 201 ? [0] : [0, 1];
      const answers: object[] = [];
      for (const position of positions) {
        const { answer, etag } = await answerAt(position, target, wanted);
        assertAnswered(wanted, answer, wanted.method);
        answers.push(masked(answer, etag));
      }
      if (answers[1] && !wanted.saysWhere) assert.deepEqual(answers[1], answers[0]);
    });
  }
});
