/** Error codes as the responses of an operation, one for each status. */
import * as z from 'zod';
import type { ZodOpenApiResponseObject } from 'zod-openapi';
import { type ErrorCode, statusByCode } from '../../core/errors.ts';
import { CONFLICT, ERROR } from '../schemas/error.ts';
import { ALLOW, CONTENT_RANGE, EVERYWHERE, RETRY_AFTER, WWW_AUTHENTICATE } from './answer-fields.ts';
import { ERROR_MEANINGS } from './error-meanings.ts';

/** What an error of a status says beside its body. */
const FIELDS: Readonly<Record<number, z.ZodRawShape>> = {
  401: { 'WWW-Authenticate': WWW_AUTHENTICATE },
  405: { Allow: ALLOW },
  416: { 'Content-Range': CONTENT_RANGE },
  423: { 'Retry-After': RETRY_AFTER },
  429: { 'Retry-After': RETRY_AFTER },
  503: { 'Retry-After': RETRY_AFTER },
};

export interface ErrorContext {
  /** Whether the answers to the method have a body at all. */
  readonly hasBody: boolean;
  /** Of the resource, whose answers may have header fields of their own. */
  readonly tag: string;
  readonly fields: z.ZodObject | undefined;
}

export function errorAnswers(
  codes: readonly ErrorCode[],
  context: ErrorContext,
): Record<string, ZodOpenApiResponseObject> {
  const byStatus = Map.groupBy(new Set(codes), (code) => statusByCode[code]);
  return Object.fromEntries([...byStatus].map(([status, its]) => [status, errorAnswer(status, its, context)]));
}

/** By their ids: many operations fail in the same ways, and the document has each answer once. */
const known = new Map<string, ZodOpenApiResponseObject>();

function errorAnswer(status: number, codes: readonly ErrorCode[], context: ErrorContext): ZodOpenApiResponseObject {
  const { hasBody, tag, fields } = context;
  const marks = [...(hasBody ? [] : ['HEAD']), ...(fields ? [tag.replaceAll(' ', '-')] : [])];
  const id = [status, ...codes.toSorted(), ...marks].join('.');
  return known.getOrInsertComputed(id, () => ({
    id,
    description: codes.map((code) => `\`${code}\`: ${ERROR_MEANINGS[code]}.`).join('\n\n'),
    headers: EVERYWHERE.extend({ ...fields?.shape, ...FIELDS[status] }),
    ...(hasBody ? { content: { 'application/json': { schema: bodyOf(codes) } } } : {}),
  }));
}

function bodyOf(codes: readonly ErrorCode[]) {
  const plain = codes.filter((code) => code !== 'FILE_ALREADY_EXISTS');
  const conflict = plain.length < codes.length ? [CONFLICT] : [];
  const [first, ...more] = plain;
  const errors = first === undefined ? [] : [z.intersection(ERROR, z.looseObject({ code: z.enum([first, ...more]) }))];
  const [only, other] = [...conflict, ...errors];
  if (only === undefined) return z.never();
  return other === undefined ? only : z.union([only, other]);
}
