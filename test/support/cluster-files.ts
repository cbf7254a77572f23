/** What tests do with files of the namespace at any instance of a cluster, which is named by its number. */
import assert from 'node:assert/strict';
import { type Answer, call } from './client.ts';
import { ALICE_KEY, type TestCluster } from './cluster.ts';

export interface ClusterFiles {
  /** Fails unless the file was created or replaced. */
  put(at: number, path: string, body: string, headers?: Readonly<Record<string, string>>): Promise<Answer>;
  patch(at: number, path: string, change: object, key?: string): Promise<Answer>;
  /** Fails unless every instance answers with this content; undefined: with 404. */
  assertEverywhere(path: string, expected: string | undefined): Promise<void>;
}

/**
 * @param cluster gives the one that is running when a test asks
 * @param readerKey who looks at what is everywhere
 */
export function clusterFiles(cluster: () => TestCluster, readerKey = ALICE_KEY): ClusterFiles {
  return {
    async put(at, path, body, headers = {}) {
      const answer = await call('PUT', cluster().at(at).url, `/v1/files${path}`, { body, headers });
      assert(answer.status === 201 || answer.status === 200, `${path}: ${answer.status} ${answer.text}`);
      return answer;
    },
    patch(at, path, change, key = ALICE_KEY) {
      return call('PATCH', cluster().at(at).url, `/v1/files${path}`, { body: JSON.stringify(change), key });
    },
    async assertEverywhere(path, expected) {
      for (const { url, id } of cluster().instances) {
        const { status, text } = await call('GET', url, `/v1/files${path}`, { key: readerKey });
        assert.equal(status, expected === undefined ? 404 : 200, `${path} at ${id}: ${text}`);
        if (expected !== undefined) assert.equal(text, expected, `${path} at ${id}`);
      }
    },
  };
}
