/** JSON bodies that tell what to do: parsed, checked, and refused with what is wrong. */
import type * as z from 'zod';
import { CallFSError } from '../core/errors.ts';

/** @param problem goes on after "The body" */
export const badBody = (problem: string): CallFSError => new CallFSError('BAD_REQUEST', `The body ${problem}.`);

/**
 * @param example of what the client may send, for the message
 * @throws CallFSError BAD_REQUEST unless it is a JSON object
 */
export function parseJson(body: Uint8Array, example: string): Record<string, unknown> {
  let json: unknown;
  try {
    json = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(body));
  } catch {
    throw badBody(`is not JSON; send for example ${example}`);
  }
  if (typeof json === 'object' && json !== null && !Array.isArray(json)) return json as Record<string, unknown>;
  throw badBody(`is not a JSON object; send for example ${example}`);
}

/** @throws CallFSError BAD_REQUEST that names the first field that is wrong */
export function parseFields<T extends z.ZodType>(schema: T, json: unknown): z.infer<T> {
  const parsed = schema.safeParse(json);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  const field = issue?.path.join('.') ?? '';
  throw badBody(`is not valid: ${field === '' ? '' : `"${field}": `}${issue?.message ?? 'unknown'}`);
}
