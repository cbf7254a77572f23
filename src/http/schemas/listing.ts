/** Listings: a page of what is in a directory, and below it. */
import * as z from 'zod';
import { ENTRY, EXAMPLE_ENTRY } from './entry.ts';
import { count, PATH } from './scalars.ts';

export const LISTING = z
  .strictObject({
    path: PATH.meta({ description: 'The directory.' }),
    type: z.literal('directory'),
    recursive: z.boolean(),
    max_depth: count(),
    count: count().meta({ description: 'Entries in this answer.' }),
    items: z.array(ENTRY),
    next_cursor: z.string().nullable().meta({ description: 'For the next page; null: this was the last one.' }),
  })
  .meta({
    id: 'Listing',
    description: 'Names are in byte order; with `recursive` each directory comes right before its content.',
    examples: [
      {
        ...{ path: '/docs', type: 'directory', recursive: false, max_depth: 100, count: 1 },
        ...{ items: [EXAMPLE_ENTRY], next_cursor: null },
      },
    ],
  });

export type ListingJson = z.infer<typeof LISTING>;
