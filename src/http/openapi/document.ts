/** The description of the whole HTTP interface as OpenAPI 3.1, made of the schemas that the routes work with. */
import { createDocument } from 'zod-openapi';
import { type Resource, toPathItem } from './operation.ts';
import { DIRECTORY_RESOURCE } from './resources/directories.ts';
import { FILE_RESOURCE } from './resources/files.ts';
import { JOB_RESOURCE, JOBS_RESOURCE } from './resources/jobs.ts';
import { DOWNLOAD_RESOURCE, LINK_RESOURCE } from './resources/links.ts';
import { OPERATION_RESOURCES } from './resources/operations.ts';
import { SOCKET_RESOURCE } from './resources/sockets.ts';
import { UPLOAD_RESOURCE, UPLOADS_RESOURCE } from './resources/uploads.ts';

export type OpenApiDocument = ReturnType<typeof createDocument>;

export interface DocumentOptions {
  readonly version: string;
  /** Base URL for clients; empty: where the document comes from. */
  readonly externalUrl: string;
}

const RESOURCES: readonly Resource[] = [
  FILE_RESOURCE,
  DIRECTORY_RESOURCE,
  LINK_RESOURCE,
  DOWNLOAD_RESOURCE,
  UPLOADS_RESOURCE,
  UPLOAD_RESOURCE,
  SOCKET_RESOURCE,
  JOBS_RESOURCE,
  JOB_RESOURCE,
  ...OPERATION_RESOURCES,
];

const TAGS = [
  { name: 'Files', description: 'Read, write, rename, copy and remove: one namespace over all instances.' },
  { name: 'Directories', description: 'Listings, in pages or streamed.' },
  { name: 'Single-use links', description: 'A file for somebody without a key, once.' },
  { name: 'Resumable uploads', description: 'Large files over bad connections: tus 1.0, at every instance.' },
  { name: 'WebSockets', description: 'The bytes of GET and PUT in messages.' },
  { name: 'Jobs', description: 'Work that goes on after its client was answered.' },
  { name: 'Cluster', description: 'Who takes part.' },
  { name: 'Operations', description: 'For operators and load balancers.' },
  { name: 'Documentation', description: 'What you read.' },
];

const ABOUT = [
  'Many servers, each with its own disk, one namespace over HTTP. Every request can go to every instance; the answer is the same.',
  'Who asks says so with `Authorization: Bearer <key>`. Every entry has an owner, a group and a mode, as on Unix.',
  'Every answer has `X-Request-ID`; every error is JSON with `code`, `message` and `request_id`. A method that a resource does not have is `405 METHOD_NOT_ALLOWED` with `Allow`.',
].join('\n\n');

export function openApiDocument({ version, externalUrl }: DocumentOptions): OpenApiDocument {
  return createDocument({
    openapi: '3.1.1',
    info: { title: 'CallFS', version, description: ABOUT, license: { name: 'MIT', identifier: 'MIT' } },
    servers: [{ url: externalUrl || '/' }],
    tags: TAGS,
    security: [{ key: [] }],
    paths: Object.fromEntries(RESOURCES.map((resource) => [resource.path, toPathItem(resource)])),
    components: {
      securitySchemes: {
        key: { type: 'http', scheme: 'bearer', description: 'The key of a user, as the operator has given it.' },
      },
    },
  });
}
