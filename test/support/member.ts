/** More instances beside those of a cluster, and clusters whose instances know each other by configuration. */
import { mkdtempSync } from 'node:fs';
import * as net from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { defaultConfig, mergeSections, TestCluster, TestInstance } from './cluster.ts';
import { prepareStore } from './test-store.ts';

/** One more instance on the cluster's store; not started, stopped by whoever makes it. */
export function newMember(
  cluster: TestCluster,
  id: string,
  config: Readonly<Record<string, object>> = {},
): TestInstance {
  return new TestInstance(id, cluster.folder, mergeSections(defaultConfig(id, cluster.folder), config));
}

/** Instances `callfs-1`, … on ports of their own that stay the same, each with `instance_discovery.peer_endpoints`. */
export async function startStaticCluster(
  count: number,
  config: Readonly<Record<string, object>> = {},
  { commanded = false }: { readonly commanded?: boolean } = {},
): Promise<TestCluster> {
  const folder = mkdtempSync(join(tmpdir(), 'callfs-test-'));
  await prepareStore(folder);
  const ports = await freePorts(count);
  const ids = ports.map((_, index) => `callfs-${index + 1}`);
  const peer_endpoints = Object.fromEntries(ids.map((id, index) => [id, `http://127.0.0.1:${ports[index]}`]));
  const instances = ids.map((id, index) => {
    const own = {
      server: { listen_addr: `127.0.0.1:${ports[index]}` },
      instance_discovery: { peer_endpoints },
    };
    const sections = mergeSections(mergeSections(defaultConfig(id, folder), own), config);
    return Object.assign(new TestInstance(id, folder, sections), { commanded });
  });
  const cluster = new TestCluster(folder, instances);
  try {
    await Promise.all(instances.map((instance) => instance.start()));
  } catch (error) {
    await cluster[Symbol.asyncDispose]();
    throw error;
  }
  return cluster;
}

/** Ports of 127.0.0.1 that nobody listens on at the moment, all different. */
export async function freePorts(count: number): Promise<number[]> {
  const servers = Array.from({ length: count }, () => net.createServer());
  const ports = await Promise.all(servers.map((server) => listenAnywhere(server)));
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
  return ports;
}

/** Lets a server listen on a port of 127.0.0.1 that the system chooses, and tells which. */
export function listenAnywhere(server: net.Server): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(0, '127.0.0.1', () => resolve((server.address() as net.AddressInfo).port));
  });
}
