/** The JSON body of a PATCH, parsed into what the use cases take. */
import type * as z from 'zod';
import type { BackendType } from '../core/entry.ts';
import type { User } from '../core/permissions.ts';
import { namesOf, toVirtualPath, type VirtualPath } from '../core/virtual-path.ts';
import { parseMode } from './file-request.ts';
import { badBody, parseFields, parseJson } from './json-body.ts';
import { ATTRIBUTES, MOVE, PLACES, RENAME } from './schemas/change.ts';

export type Patch = MovePatch | AttributesPatch;

export interface MovePatch {
  readonly kind: 'move' | 'copy';
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

/**
 * @param path of the entry: a new name is beside it
 * @throws CallFSError BAD_REQUEST, INVALID_PATH
 */
export function parsePatch(body: Uint8Array, path: VirtualPath, findUser: (name: string) => User | undefined): Patch {
  const json = parseJson(body, '{"name": "new-name.txt"}');
  if ('name' in json && 'destination' in json) throw badBody('has both "name" and "destination"; give one of them');
  if ('name' in json) {
    const { name, overwrite } = parseFields(RENAME, json);
    if (name.includes('/')) throw badBody('has a "/" in "name"; give a "destination" to move to another directory');
    const destination = toVirtualPath([...namesOf(path).slice(0, -1), name]);
    return { ...MOVE_IN_PLACE, destination, overwrite };
  }
  if (PLACES.some((field) => field in json)) return toMove(parseFields(MOVE, json), path);
  const { mode, owner, group } = parseFields(ATTRIBUTES, json);
  const user = owner === undefined ? undefined : findUser(owner);
  if (owner !== undefined && !user) throw badBody(`names the owner "${owner}", who is no user here`);
  return { kind: 'attributes', mode: parseMode(mode, 'mode'), owner: user, group };
}

const MOVE_IN_PLACE = {
  kind: 'move',
  destinationNamesDirectory: false,
  instanceId: undefined,
  backendType: undefined,
  createParents: false,
} as const;

/** @param path where it is, and stays unless there is a destination */
function toMove(given: z.infer<typeof MOVE>, path: VirtualPath): MovePatch {
  const { destination, instance, backend, copy, overwrite, create_parents: createParents } = given;
  if (copy && destination === undefined) throw badBody('has no "destination" for the copy');
  return {
    kind: copy ? 'copy' : 'move',
    destination: destination === undefined ? path : toVirtualPath(destination.split('/').filter((name) => name !== '')),
    destinationNamesDirectory: destination?.endsWith('/') ?? false,
    instanceId: instance,
    backendType: backend,
    overwrite,
    createParents,
  };
}
