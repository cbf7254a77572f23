/** Every metric of an instance, by the names that dashboards know. The only user of prom-client. */
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';

const LATENCY_BUCKETS_SECONDS = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30];

/** What a scrape asks for, because it is known nowhere in memory. */
export interface MetricSources {
  readonly instanceFiles: () => Promise<readonly { readonly instanceId: string; readonly files: number }[]>;
  readonly peers: () => readonly { readonly instanceId: string; readonly up: boolean }[];
}

export type Metrics = ReturnType<typeof createMetrics>;

export function createMetrics(sources: MetricSources) {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  registerGauges(registry, sources);
  return { registry, ...requestMetrics(registry), ...storageMetrics(registry), ...linkMetrics(registry) };
}

function requestMetrics(registry: Registry) {
  return {
    httpRequests: counter(registry, 'callfs_http_requests_total', 'HTTP requests answered.', [
      'method',
      'path',
      'status_code',
    ]),
    httpDuration: histogram(
      registry,
      'callfs_http_request_duration_seconds',
      'From the request to the end of the answer.',
      ['method', 'path'],
    ),
    crossServerRequests: counter(
      registry,
      'callfs_cross_server_requests_total',
      'Requests handed to the instance that owns the entry.',
      ['operation', 'target_instance', 'outcome'],
    ),
    proxyDuration: histogram(registry, 'callfs_proxy_request_duration_seconds', 'Whole exchanges with peers.', [
      'operation',
      'target_instance',
    ]),
    takeovers: counter(
      registry,
      'callfs_takeovers_total',
      'Files in a shared bucket that this instance has taken over from an owner that did not answer.',
      ['from_instance'],
    ),
    conflicts: counter(
      registry,
      'callfs_conflicts_total',
      'Creations refused because the path is taken; kind: what was wanted over what exists, and where.',
      ['kind'],
    ),
  };
}

function storageMetrics(registry: Registry) {
  return {
    fileOperations: counter(registry, 'callfs_file_operations_total', 'Operations carried out by this instance.', [
      'operation',
      'backend_type',
    ]),
    backendDuration: histogram(registry, 'callfs_backend_op_duration_seconds', 'Operations of the backends.', [
      'backend_type',
      'operation',
    ]),
    metadataDuration: histogram(
      registry,
      'callfs_metadata_query_duration_seconds',
      'Operations of the metadata store.',
      ['operation'],
    ),
    lostAndFound: counter(
      registry,
      'callfs_lost_and_found_total',
      'Files CallFS did not know that it moved to lost+found because they were in the way.',
      [],
    ),
    tieredFiles: counter(registry, 'callfs_tiered_files_total', 'Files that tiering rules moved to a backend.', ['to']),
    tieredBytes: counter(registry, 'callfs_tiered_bytes_total', 'Bytes of these files.', ['to']),
    adopted: counter(
      registry,
      'callfs_adopted_total',
      'Files that were changed outside CallFS and became a new version.',
      [],
    ),
  };
}

function linkMetrics(registry: Registry) {
  return {
    linkGenerations: counter(registry, 'callfs_single_use_link_generations_total', 'Single-use links made.', []),
    linkConsumptions: counter(
      registry,
      'callfs_single_use_link_consumptions_total',
      'Attempts to use a single-use link.',
      ['status'],
    ),
  };
}

function counter<L extends string>(
  registry: Registry,
  name: string,
  help: string,
  labelNames: readonly L[],
): Counter<L> {
  return new Counter({ name, help, labelNames, registers: [registry] });
}

function histogram<L extends string>(
  registry: Registry,
  name: string,
  help: string,
  labelNames: readonly L[],
): Histogram<L> {
  return new Histogram({ name, help, labelNames, buckets: LATENCY_BUCKETS_SECONDS, registers: [registry] });
}

function registerGauges(registry: Registry, sources: MetricSources): void {
  new Gauge({
    name: 'callfs_instance_files',
    help: 'Files that each instance owns.',
    labelNames: ['instance_id'],
    registers: [registry],
    async collect() {
      this.reset();
      for (const { instanceId, files } of await sources.instanceFiles()) this.set({ instance_id: instanceId }, files);
    },
  });
  new Gauge({
    name: 'callfs_peer_up',
    help: 'Whether a peer answers: 1 or 0.',
    labelNames: ['instance_id'],
    registers: [registry],
    collect() {
      this.reset();
      for (const { instanceId, up } of sources.peers()) this.set({ instance_id: instanceId }, up ? 1 : 0);
    },
  });
}
