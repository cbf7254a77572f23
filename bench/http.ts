/**
 * Requests and bytes per second of a three-instance cluster, beside nginx on the same files in the same run.
 * Needs wrk, and nginx for the comparison (Debian packages). Usage: node bench/http.ts [seconds per case]
 */
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { call } from '../test/support/client.ts';
import { ALICE_KEY, startCluster, type TestCluster } from '../test/support/cluster.ts';
import { waitFor } from '../test/support/wait-for.ts';

const SECONDS = Number(process.argv[2] ?? 5);
const AUTHORIZATION = `Authorization: Bearer ${ALICE_KEY}`;
const SMALL_BYTES = 1024;
const LARGE_BYTES = 256 * 1024 * 1024;

interface Case {
  readonly name: string;
  readonly url: string;
  readonly connections: number;
  readonly script?: string;
}

interface Result {
  readonly name: string;
  readonly requestsPerSecond: number;
  readonly bytesPerSecond: number;
  readonly failed: number;
}

await using cluster = await startCluster({ keepLog: false });
await using nginx = await startNginx(cluster.folder);
const results: Result[] = [];
await prepare(cluster);
for (const measured of cases(cluster, nginx?.url)) {
  measure({ ...measured, name: 'warm-up' }, 1);
  results.push(measure(measured, SECONDS));
}
print(results);

async function prepare({ folder, at }: TestCluster): Promise<void> {
  const small = Buffer.alloc(SMALL_BYTES, 's');
  const large = Buffer.alloc(LARGE_BYTES, 'l');
  for (const [name, body] of [
    ['small', small],
    ['large', large],
  ] as const) {
    writeFileSync(join(folder, 'www', name), body);
    await call('PUT', at.call(cluster, 0).url, `/v1/files/${name}`, { body });
  }
  await call('POST', at.call(cluster, 0).url, '/v1/files/list/');
  const names = Array.from({ length: 1000 }, (_, index) => `/v1/files/list/file-${index}`);
  await Promise.all(names.map((name) => call('PUT', at.call(cluster, 0).url, name, { body: 'x' })));
}

function cases({ folder, instances }: TestCluster, nginxUrl: string | undefined): Case[] {
  const [owner, peer] = instances;
  if (!owner || !peer) throw new Error('The cluster has no two instances.');
  const script = (name: string, text: string): string => {
    const file = join(folder, `${name}.lua`);
    writeFileSync(file, text);
    return file;
  };
  const put = script(
    'put',
    `local n = 0
     local id = tostring({}):gsub("%W", "")
     request = function()
       n = n + 1
       return wrk.format("PUT", "/v1/files/put-" .. id .. "-" .. n, nil, string.rep("p", ${SMALL_BYTES}))
     end\n`,
  );
  return [
    ...(nginxUrl === undefined ? [] : [{ name: 'nginx GET 1 KiB', url: `${nginxUrl}/small`, connections: 32 }]),
    { name: 'GET 1 KiB, owner', url: `${owner.url}/v1/files/small`, connections: 32 },
    { name: 'GET 1 KiB, through a peer', url: `${peer.url}/v1/files/small`, connections: 32 },
    { name: 'PUT of a new 1 KiB, durable', url: owner.url, connections: 64, script: put },
    { name: 'list 1,000 entries', url: `${owner.url}/v1/directories/list`, connections: 4 },
    ...(nginxUrl === undefined ? [] : [{ name: 'nginx GET 256 MiB', url: `${nginxUrl}/large`, connections: 1 }]),
    { name: 'GET 256 MiB, owner', url: `${owner.url}/v1/files/large`, connections: 1 },
    { name: 'GET 256 MiB, through a peer', url: `${peer.url}/v1/files/large`, connections: 1 },
  ];
}

function measure({ name, url, connections, script }: Case, seconds: number): Result {
  const options = ['-t1', `-c${connections}`, `-d${seconds}s`, '-H', AUTHORIZATION, '--timeout', '30s'];
  const ran = spawnSync('wrk', [...options, ...(script === undefined ? [] : ['-s', script]), url], {
    encoding: 'utf8',
  });
  if (ran.status !== 0) throw new Error(`wrk failed: ${ran.error?.message ?? ran.stderr}`);
  const requestsPerSecond = Number(/Requests\/sec:\s+([\d.]+)/.exec(ran.stdout)?.[1] ?? 0);
  const [, size = '0', unit = ''] = /Transfer\/sec:\s+([\d.]+)(\w+)/.exec(ran.stdout) ?? [];
  const factor = { B: 1, KB: 1024, MB: 1024 ** 2, GB: 1024 ** 3 }[unit] ?? 0;
  const failed = Number(/Non-2xx or 3xx responses: (\d+)/.exec(ran.stdout)?.[1] ?? 0);
  return { name, requestsPerSecond, bytesPerSecond: Number(size) * factor, failed };
}

function print(measured: readonly Result[]): void {
  for (const { name, requestsPerSecond, bytesPerSecond, failed } of measured) {
    const requests = requestsPerSecond.toFixed(requestsPerSecond < 100 ? 1 : 0).padStart(9);
    const gigabytes = (bytesPerSecond / 1e9).toFixed(2).padStart(6);
    process.stdout.write(`${name.padEnd(32)}${requests} /s ${gigabytes} GB/s${failed ? `  ${failed} failed` : ''}\n`);
  }
}

/** Undefined when nginx is not installed. */
async function startNginx(folder: string): Promise<({ readonly url: string } & AsyncDisposable) | undefined> {
  const root = join(folder, 'www');
  mkdirSync(root);
  if (spawnSync('nginx', ['-v']).error) {
    process.stdout.write('nginx is not installed: no comparison\n');
    return undefined;
  }
  const probe = createServer().listen(0, '127.0.0.1');
  await once(probe, 'listening');
  const { port } = probe.address() as { port: number };
  probe.close();
  const file = join(folder, 'nginx.conf');
  writeFileSync(
    file,
    `${process.getuid?.() === 0 ? 'user root;' : ''} worker_processes 1; daemon off; pid ${folder}/nginx.pid; error_log ${folder}/nginx.log;
     events { worker_connections 512; }
     http { access_log off; sendfile on; tcp_nopush on; keepalive_requests 1000000;
       server { listen 127.0.0.1:${port}; root ${root}; } }\n`,
  );
  const child = spawn('nginx', ['-c', file], { stdio: 'ignore' });
  const url = `http://127.0.0.1:${port}`;
  await waitFor('nginx', () =>
    fetch(url).then(
      () => true,
      () => false,
    ),
  );
  return {
    url,
    async [Symbol.asyncDispose]() {
      const exited = once(child, 'exit');
      child.kill('SIGQUIT');
      await exited;
      rmSync(root, { recursive: true });
    },
  };
}
