/** `callfs rebuild` with the metadata in PostgreSQL: another, empty database takes the place of the lost one. */
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { test } from 'node:test';
import postgres, { type Sql } from 'postgres';
import { stagedFiles } from './support/at-rest.ts';
import { call } from './support/client.ts';
import { ADMIN_KEY, startCluster } from './support/cluster.ts';
import { run } from './support/command.ts';
import { TestPostgres } from './support/postgres.ts';
import { waitFor } from './support/wait-for.ts';

test('a namespace that was lost with its database comes back into an empty one', async () => {
  await using server = await TestPostgres.start();
  const [lost, empty] = [await server.createDatabase(), await server.createDatabase()];
  await using cluster = await startCluster({
    instances: 2,
    config: { metadata_store: { type: 'postgres', dsn: lost } },
  });
  const [a, b] = [cluster.at(0), cluster.at(1)];
  const send = async (method: string, url: string, path: string, body?: string, headers = {}): Promise<void> => {
    const { status, text } = await call(method, url, `/v1/files${path}`, {
      ...(body === undefined ? {} : { body }),
      headers,
    });
    assert(status < 300, `${method} ${path}: ${status} ${text}`);
  };
  const puts = Array.from({ length: 600 }, (_, at) =>
    send('PUT', cluster.at(at).url, `/d${at % 9}/e${at % 4}/f${at}`, `${at}`),
  );
  await Promise.all(puts);
  await send('POST', b.url, '/empty/');
  await send('POST', a.url, '/made-by-a/');
  await send('PUT', b.url, '/made-by-a/held-by-b', 'content');
  const json = { 'content-type': 'application/json' };
  await send('PATCH', a.url, '/d1', JSON.stringify({ name: 'renamed' }), json);
  await send('PATCH', b.url, '/d2/e2', JSON.stringify({ destination: '/d3/moved' }), json);
  await send('DELETE', a.url, '/d4?recursive=true');
  await waitFor('uploads to be in place', () => cluster.instances.every((each) => stagedFiles(each).length === 0));
  const before = await snapshotOf(lost, a.url);
  for (const instance of cluster.instances) {
    await instance.kill();
    writeFileSync(instance.configFile, readFileSync(instance.configFile, 'utf8').replace(lost, empty));
  }
  for (const { configFile } of [b, a]) {
    const ended = await run(['rebuild', '-c', configFile], { patienceMs: 120_000 });
    // Directories of the other one are missing after the first.
    assert.equal(ended.exitCode, configFile === b.configFile ? 3 : 0, ended.stdout + ended.stderr);
  }
  await Promise.all(cluster.instances.map((instance) => instance.start()));
  assert.deepEqual(await snapshotOf(empty, b.url), before);
  for (const { configFile } of cluster.instances) {
    const ended = await run(['fsck', '--deep', '-c', configFile], { patienceMs: 120_000 });
    assert.equal(ended.exitCode, 0, ended.stdout + ended.stderr);
  }
});

/** Every row and the whole listing, as soon as nothing is left to do. */
async function snapshotOf(dsn: string, url: string): Promise<{ rows: string[]; listing: string }> {
  const sql = postgres(dsn, { max: 1 });
  try {
    await waitFor('disks and catalogs to follow', () => isAtRest(sql));
    const rows = await sql`SELECT * FROM entries ORDER BY id`;
    const headers = { accept: 'application/x-ndjson' };
    const target = '/v1/directories/?recursive=true&max_depth=2048';
    const { text: listing } = await call('GET', url, target, { key: ADMIN_KEY, headers });
    // The root's version only counts changes of paths.
    const compared = rows.map((row) => JSON.stringify(row.id === 'root' ? { ...row, version: 0 } : row));
    return { rows: compared, listing };
  } finally {
    await sql.end();
  }
}

async function isAtRest(sql: Sql): Promise<boolean> {
  const [left] = await sql`SELECT (SELECT COUNT(*) FROM outbox) + (SELECT COUNT(*) FROM notes) AS items`;
  return Number(left?.items) === 0;
}
