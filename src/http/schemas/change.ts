/** What a PATCH of an entry may say. */
import * as z from 'zod';
import { BACKEND_TYPE, MODE, PATH } from './scalars.ts';

/** What a store, a log line and a terminal show as it was given. */
const UNPRINTABLE = /[\p{Cc}\p{Cs}\u202a-\u202e\u2066-\u2069]/u;
const WORD = z
  .string()
  .min(1)
  .max(255)
  .refine((word) => !UNPRINTABLE.test(word), 'has a character that cannot be shown');

const OVERWRITE = z.boolean().default(false).meta({
  description: 'A file takes the place of a file, a directory that of an empty directory.',
});

export const RENAME = z
  .strictObject({
    name: z
      .string()
      .min(1)
      .meta({ description: 'One segment: the new name in the same directory.', pattern: '^[^/]+$' }),
    overwrite: OVERWRITE,
  })
  .meta({ title: 'rename', examples: [{ name: 'new-name.txt' }] });

/** Each of them says where something is to go. */
export const PLACES = ['destination', 'instance', 'backend', 'copy'] as const;

export const MOVE = z
  .strictObject({
    destination: PATH.optional().meta({ description: 'The new path; without it the entry stays where it is.' }),
    instance: WORD.optional().meta({ description: 'The instance that shall hold the bytes.' }),
    backend: BACKEND_TYPE.optional(),
    copy: z.boolean().default(false).meta({ description: 'Makes a copy, and leaves the entry as it is.' }),
    overwrite: OVERWRITE,
    create_parents: z.boolean().default(false).meta({ description: 'Makes missing directories on the way.' }),
  })
  .meta({
    title: 'move or copy',
    examples: [{ destination: '/other/place.txt', create_parents: true }],
    override: {
      anyOf: PLACES.map((field) => ({ properties: { [field]: {} }, required: [field] })),
      if: { properties: { copy: { const: true } }, required: ['copy'] },
      // biome-ignore lint/suspicious/noThenProperty: a keyword of JSON Schema
      then: { properties: { destination: {} }, required: ['destination'] },
    },
  });

export const ATTRIBUTES = z
  .strictObject({
    mode: MODE.optional(),
    owner: WORD.optional().meta({ description: 'Name of a user; only an administrator may change it.' }),
    group: WORD.optional(),
  })
  .refine((attributes) => Object.keys(attributes).length > 0, 'has nothing to change')
  .meta({ title: 'change attributes', minProperties: 1, examples: [{ mode: '0640' }] });

export const CHANGE = z.union([RENAME, MOVE, ATTRIBUTES]).meta({ id: 'Change', description: 'One of three.' });
