/** Single-use links: what is asked for, and what comes back. */
import * as z from 'zod';
import { PATH, TIME } from './scalars.ts';

const MAX_EXPIRY_SECONDS = 86_400;

export const LINK_REQUEST = z
  .strictObject({
    path: PATH.meta({ description: 'Of a file that the caller may read.' }),
    expiry_seconds: z.int().min(1).max(MAX_EXPIRY_SECONDS).meta({ description: 'How long the link lives.' }),
  })
  .meta({ id: 'LinkRequest', examples: [{ path: '/docs/report.txt', expiry_seconds: 3600 }] });

const EXAMPLE_TOKEN = 'vSVYzG2kM8q0TjW1xPZc5nRfUo7LhBdEaYs4iK9tQwA';

export const LINK = z
  .strictObject({
    url: z.string().meta({ description: 'Where the file can be had, once.' }),
    token: z.string().min(1).meta({ description: 'The last segment of the URL: 256 random bits, shown only here.' }),
    expires_at: TIME,
    expires: TIME.meta({ description: 'The same.' }),
  })
  .meta({
    id: 'Link',
    examples: [
      {
        url: `https://files.example.org/download/${EXAMPLE_TOKEN}`,
        token: EXAMPLE_TOKEN,
        expires_at: '2026-01-14T11:30:00Z',
        expires: '2026-01-14T11:30:00Z',
      },
    ],
  });

export type LinkJson = z.infer<typeof LINK>;
