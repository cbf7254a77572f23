/** The simple values that occur all over the wire: validated and described by the same schemas. */
import * as z from 'zod';
import 'zod-openapi';
import type { BackendType } from '../../core/entry.ts';

/** A whole number without the bound of what JavaScript counts exactly, which says nothing about the wire. */
export const count = () => z.int().nonnegative().meta({ override: withoutMaximum });

function withoutMaximum({ jsonSchema }: { readonly jsonSchema: { maximum?: number | undefined } }): void {
  delete jsonSchema.maximum;
}

export const MODE = z.string().meta({
  description: 'Permission bits and the sticky bit, octal.',
  pattern: '^(0?[01])?[0-7]{1,3}$',
  examples: ['0640'],
});

export const SHOWN_MODE = z
  .string()
  .regex(/^[01][0-7]{3}$/)
  .meta({ description: 'Permission bits and the sticky bit, octal.', examples: ['0644'] });

export const TIME = z
  .string()
  .regex(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/)
  .meta({ description: 'RFC 3339, UTC, whole seconds.', format: 'date-time', examples: ['2026-01-14T10:30:00Z'] });

/** Typed by what the code knows, so that a new kind of backend is described, too. */
export const BACKEND_TYPES = ['localfs', 's3'] as const satisfies readonly BackendType[];

export const BACKEND_TYPE = z
  .enum(BACKEND_TYPES)
  .meta({ description: 'Where the bytes are kept.', examples: ['localfs'] });

export const INSTANCE_ID = z
  .string()
  .min(1)
  .meta({ examples: ['callfs-localfs-1'] });

export const PATH = z
  .string()
  .regex(/^\//, 'must be an absolute path')
  .meta({ description: 'Absolute, not percent-encoded.', examples: ['/docs/report.txt'] });

export const ETAG = z
  .string()
  .regex(/^"[!#-~\u0080-\u00ff]+"$/)
  .meta({
    description: 'Strong entity tag: new for every new content.',
    examples: ['"01a1fa8a-3c2e-7d11-a3f0-6b7c1e0d9f42"'],
  });

export const REQUEST_ID = z
  .string()
  .min(1)
  .meta({
    description: 'Names the request; the same id is in the log of every instance that took part.',
    examples: ['01a1fa8a-77b4-7c55-9d3e-0f2a6c9b1d10'],
  });
