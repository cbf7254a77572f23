/** What every answer looks like, once more with clients that come over TLS, by HTTP/1.1 and by HTTP/2. */
import { suite, test } from 'node:test';
import { assertTestFilePasses } from './support/test-file.ts';

/** What `call` sends goes by the version named; requests with bytes of the test's own are HTTP/1.1 in any case. */
const VERSIONS: Readonly<Record<string, string>> = { h1: 'HTTP/1.1', h2: 'HTTP/2' };
const LONG = process.env.CALLFS_LONG_TESTS === '1';
const FILES = ['http-contract', 'http-ranges', ...(LONG ? ['streaming-forward'] : [])];

suite('over TLS', () => {
  for (const [version, name] of Object.entries(VERSIONS)) {
    for (const file of FILES) {
      test(`with ${name} test/${file}.test.ts passes`, { timeout: 600_000 }, async (t) => {
        await assertTestFilePasses(file, { CALLFS_TEST_TLS: version }, t.signal);
      });
    }
  }
});
