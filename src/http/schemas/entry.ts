/** An entry of the namespace in JSON. */
import * as z from 'zod';
import { BACKEND_TYPE, count, ETAG, INSTANCE_ID, PATH, SHOWN_MODE, TIME } from './scalars.ts';

export const EXAMPLE_ENTRY = {
  name: 'report.txt',
  path: '/docs/report.txt',
  type: 'file' as const,
  size: 15,
  mode: '0644',
  owner: 'alice',
  group: 'staff',
  uid: 1001,
  gid: 1001,
  mtime: '2026-01-14T10:30:00Z',
  etag: '"01a1fa8a-3c2e-7d11-a3f0-6b7c1e0d9f42"',
  content_type: 'text/plain',
  instance_id: 'callfs-localfs-1',
  backend_type: 'localfs' as const,
};

export const ENTRY = z
  .strictObject({
    name: z.string().meta({ description: 'The last segment of the path; empty for the root directory.' }),
    path: PATH,
    type: z.enum(['file', 'directory']),
    size: count().meta({ description: 'Bytes; 0 for directories.' }),
    mode: SHOWN_MODE,
    owner: z.string().meta({ description: 'Name of the user to whom it belongs.' }),
    group: z.string(),
    uid: count(),
    gid: count(),
    mtime: TIME,
    etag: ETAG.nullable().meta({ description: 'Null for directories.' }),
    content_type: z.string().nullable().meta({ description: 'Null for directories.' }),
    instance_id: INSTANCE_ID.meta({
      description: 'The instance that holds the bytes of a file, or that made a directory.',
    }),
    backend_type: BACKEND_TYPE,
  })
  .meta({ id: 'Entry', description: 'A file or a directory.', examples: [EXAMPLE_ENTRY] });

export type EntryJson = z.infer<typeof ENTRY>;

export const ENTRIES = z
  .array(ENTRY)
  .meta({ id: 'Entries', description: 'What a directory has in it, in byte order of the names.' });
