/** What operators and load balancers ask, described; and this description itself. */
import type { ZodOpenApiContentObject } from 'zod-openapi';
import { CLUSTER } from '../../schemas/cluster.ts';
import { HEALTH, READINESS } from '../../schemas/readiness.ts';
import { PAGE_FIELDS } from '../answer-fields.ts';
import { type Answer, headOf, type Operation, type Resource } from '../operation.ts';
import { CACHE_FIELDS } from '../request-fields.ts';

/** A resource with GET and, answering alike, HEAD. */
function readable(path: string, tag: string, get: Omit<Operation, 'curl'>): Resource {
  const url = `"$CALLFS${path}"`;
  const described = { ...get, curl: url };
  return {
    path,
    tag,
    operations: { get: described, head: headOf(described, { id: `${get.id}Head`, curl: `-I ${url}` }) },
  };
}

const CLUSTER_RESOURCE = readable('/v1/cluster', 'Cluster', {
  id: 'readCluster',
  summary: 'All instances',
  description: 'As the one that is asked sees them. For administrators.',
  answers: { 200: { description: 'The cluster.', content: { 'application/json': { schema: CLUSTER } } } },
  errors: ['PERMISSION_DENIED', 'METADATA_UNAVAILABLE'],
});

const HEALTH_RESOURCE = readable('/health', 'Operations', {
  id: 'readHealth',
  summary: 'Whether the process lives',
  isOpen: true,
  answers: { 200: { description: 'It does.', content: { 'application/json': { schema: HEALTH } } } },
  errors: [],
});

const READY_RESOURCE = readable('/ready', 'Operations', {
  id: 'readReadiness',
  summary: 'Whether the instance can serve',
  isOpen: true,
  answers: {
    200: { description: 'It can.', content: { 'application/json': { schema: READINESS } } },
    503: { description: 'It cannot; says what is broken.', content: { 'application/json': { schema: READINESS } } },
  },
  errors: [],
});

const METRICS_RESOURCE = readable('/metrics', 'Operations', {
  id: 'readMetrics',
  summary: 'Figures for Prometheus',
  description: 'Without a key on `metrics.listen_addr`.',
  answers: {
    200: { description: 'The text format of Prometheus.', content: { 'text/plain': { schema: { type: 'string' } } } },
  },
  errors: [],
});

function documentation(path: string, id: string, summary: string, content: ZodOpenApiContentObject): Resource {
  const found: Answer = { description: 'As this version has it.', fields: PAGE_FIELDS, content };
  return readable(path, 'Documentation', {
    ...{ id, summary, isOpen: true, fields: CACHE_FIELDS },
    answers: { 200: found, 304: { description: 'The client has it already.', fields: PAGE_FIELDS } },
    errors: ['PRECONDITION_FAILED'],
  });
}

export const OPERATION_RESOURCES: readonly Resource[] = [
  CLUSTER_RESOURCE,
  HEALTH_RESOURCE,
  READY_RESOURCE,
  METRICS_RESOURCE,
  documentation('/openapi.json', 'readOpenApi', 'This description', {
    'application/json': { schema: { type: 'object', description: 'OpenAPI 3.1.' } },
  }),
  documentation('/docs', 'readDocs', 'This description to read', { 'text/html': { schema: { type: 'string' } } }),
  documentation('/docs/style.css', 'readDocsStyle', 'How it looks', { 'text/css': { schema: { type: 'string' } } }),
];
