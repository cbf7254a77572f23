/** The JSON body of a PATCH, parsed into what the use cases take. */
import * as z from 'zod';
import type { BackendType } from '../core/entry.ts';
import { CallFSError } from '../core/errors.ts';
import type { User } from '../core/permissions.ts';
import { namesOf, toVirtualPath, type VirtualPath } from '../core/virtual-path.ts';
import { parseMode } from './file-request.ts';

export type Patch = MovePatch | AttributesPatch;

export interface MovePatch {
  readonly kind: 'move';
  readonly destination: VirtualPath;
  readonly destinationNamesDirectory: boolean;
  readonly instanceId: string | undefined;
  readonly backendType: BackendType | undefined;
  readonly overwrite: boolean;
  readonly createParents: boolean;
}

export interface AttributesPatch {
  readonly kind: 'attributes';
  readonly mode: number | undefined;
  readonly owner: User | undefined;
  readonly group: string | undefined;
}

/** What a store, a log line and a terminal show as it was given. */
const UNPRINTABLE = /[\p{Cc}\p{Cs}\u202a-\u202e\u2066-\u2069]/u;
const WORD = z
  .string()
  .min(1)
  .max(255)
  .refine((word) => !UNPRINTABLE.test(word), 'has a character that cannot be shown');

const NAME = z.strictObject({ name: z.string().min(1), overwrite: z.boolean().default(false) });

const DESTINATION = z.strictObject({
  destination: z.string().startsWith('/', 'must be an absolute path'),
  instance: WORD.optional(),
  backend: z.enum(['localfs', 's3']).optional(),
  overwrite: z.boolean().default(false),
  create_parents: z.boolean().default(false),
});

const ATTRIBUTES = z
  .strictObject({
    mode: z.string().optional(),
    owner: WORD.optional(),
    group: WORD.optional(),
  })
  .refine((attributes) => Object.keys(attributes).length > 0, 'has nothing to change');

/**
 * @param path of the entry: a new name is beside it
 * @throws CallFSError BAD_REQUEST, INVALID_PATH
 */
export function parsePatch(body: Uint8Array, path: VirtualPath, findUser: (name: string) => User | undefined): Patch {
  const json = parseJson(body);
  if ('name' in json && 'destination' in json) throw badRequest('has both "name" and "destination"; give one of them');
  if ('name' in json) {
    const { name, overwrite } = parse(NAME, json);
    if (name.includes('/')) throw badRequest('has a "/" in "name"; give a "destination" to move to another directory');
    const destination = toVirtualPath([...namesOf(path).slice(0, -1), name]);
    return { ...MOVE_IN_PLACE, destination, overwrite };
  }
  if ('destination' in json) return toMove(parse(DESTINATION, json));
  const { mode, owner, group } = parse(ATTRIBUTES, json);
  const user = owner === undefined ? undefined : findUser(owner);
  if (owner !== undefined && !user) throw badRequest(`names the owner "${owner}", who is no user here`);
  return { kind: 'attributes', mode: parseMode(mode, 'mode'), owner: user, group };
}

const MOVE_IN_PLACE = {
  kind: 'move',
  destinationNamesDirectory: false,
  instanceId: undefined,
  backendType: undefined,
  createParents: false,
} as const;

function toMove(given: z.infer<typeof DESTINATION>): MovePatch {
  const { destination, instance, backend, overwrite, create_parents: createParents } = given;
  return {
    kind: 'move',
    destination: toVirtualPath(destination.split('/').filter((name) => name !== '')),
    destinationNamesDirectory: destination.endsWith('/'),
    instanceId: instance,
    backendType: backend,
    overwrite,
    createParents,
  };
}

function parseJson(body: Uint8Array): Record<string, unknown> {
  let json: unknown;
  try {
    json = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(body));
  } catch {
    throw badRequest('is not JSON; send for example {"name": "new-name.txt"}');
  }
  if (typeof json === 'object' && json !== null && !Array.isArray(json)) return json as Record<string, unknown>;
  throw badRequest('is not a JSON object; send for example {"name": "new-name.txt"}');
}

function parse<T extends z.ZodType>(schema: T, json: unknown): z.infer<T> {
  const parsed = schema.safeParse(json);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  const field = issue?.path.join('.') ?? '';
  throw badRequest(`is not valid: ${field === '' ? '' : `"${field}": `}${issue?.message ?? 'unknown'}`);
}

const badRequest = (problem: string): CallFSError => new CallFSError('BAD_REQUEST', `The body ${problem}.`);
