/** The answer to a creation of what exists: which, where, and what the client may do instead. */
import type { EntryType } from '../core/entry.ts';
import { encodePath } from '../core/virtual-path.ts';
import type { EntryConflict } from '../engine/entry-conflict.ts';
import { entryJson } from './entry-representation.ts';
import { FILES } from './request-target.ts';
import type { ConflictJson } from './schemas/error.ts';

/** @param endpoint base URL of the instance that holds the existing entry, if it is known */
export function conflictJson(conflict: EntryConflict, endpoint: string | undefined, requestId: string): ConflictJson {
  const { path, existing, wanted, elsewhere } = conflict;
  const bothFiles = existing.type === 'file' && wanted === 'file';
  const updateUrl = bothFiles && endpoint !== undefined ? `${endpoint}${FILES}${encodePath(path)}` : undefined;
  return {
    error: elsewhere ? 'Resource exists on another server' : 'Resource already exists',
    existing_path: path,
    instance_id: existing.instanceId,
    backend_type: existing.backendType,
    suggestion: suggest(wanted, existing.type, elsewhere ? ' on another server' : ''),
    ...(updateUrl === undefined ? {} : { update_url: updateUrl }),
    code: 'FILE_ALREADY_EXISTS',
    message: conflict.message,
    request_id: requestId,
    existing: entryJson(existing, path),
  };
}

/** For metrics: `file_over_file_elsewhere`, `directory_over_file_here`, … */
export function conflictKind({ wanted, existing, elsewhere }: EntryConflict): string {
  return `${wanted}_over_${existing.type}_${elsewhere ? 'elsewhere' : 'here'}`;
}

function suggest(wanted: EntryType, existing: EntryType, where: string): string {
  if (wanted === existing) {
    return wanted === 'file'
      ? `File already exists${where}. Use PUT to update it.`
      : `Directory already exists${where}. Use GET to access it.`;
  }
  return `Path exists as ${existing}${where}, cannot create ${wanted}`;
}
