/**
 * What a description of a resource says, and how it becomes OpenAPI: what all operations share (the header fields of every
 * answer, the shape of errors, OPTIONS) is added here.
 */
import type * as z from 'zod';
import type {
  ZodOpenApiContentObject,
  ZodOpenApiOperationObject,
  ZodOpenApiPathItemObject,
  ZodOpenApiResponseObject,
  ZodOpenApiResponsesObject,
} from 'zod-openapi';
import type { ErrorCode } from '../../core/errors.ts';
import { EVERYWHERE, OPTIONS_FIELDS } from './answer-fields.ts';
import { errorAnswers } from './error-answers.ts';
import { PREFLIGHT_FIELDS } from './request-fields.ts';

export type Method = 'get' | 'head' | 'post' | 'put' | 'patch' | 'delete';

export interface Answer {
  readonly description: string;
  /** Beside those of every answer. */
  readonly fields?: z.ZodObject;
  readonly content?: ZodOpenApiContentObject;
}

export interface Operation {
  readonly id: string;
  readonly summary: string;
  /** CommonMark, of which the page shows paragraphs, lists and code. */
  readonly description?: string;
  /** No key is needed. */
  readonly isOpen?: boolean;
  readonly query?: z.ZodObject;
  readonly fields?: z.ZodObject | undefined;
  readonly body?: {
    readonly description: string;
    readonly required: boolean;
    readonly content: ZodOpenApiContentObject;
  };
  /** By status: what is not an error. */
  readonly answers: Readonly<Record<number, Answer>>;
  /** Beside those of every operation. */
  readonly errors: readonly ErrorCode[];
  /** What stands behind `curl -H "Authorization: Bearer $KEY"`, or behind `curl` when no key is needed. */
  readonly curl: string;
}

export interface Resource {
  /** As the router names it. */
  readonly path: string;
  readonly tag: string;
  readonly parameters?: z.ZodObject;
  /** Header fields of every answer, errors too. */
  readonly fields?: z.ZodObject;
  /** Header fields of the answer to OPTIONS. */
  readonly optionsFields?: z.ZodObject;
  readonly operations: Partial<Record<Method, Operation>>;
}

/** What the HTTP parser and the server itself may answer to anything. */
const ANYWHERE: readonly ErrorCode[] = ['BAD_REQUEST', 'REQUEST_TIMEOUT', 'HEADER_FIELDS_TOO_LARGE', 'INTERNAL_ERROR'];
const WITH_KEY: readonly ErrorCode[] = ['AUTHENTICATION_FAILED'];

export function toPathItem(resource: Resource): ZodOpenApiPathItemObject {
  const operations = Object.entries(resource.operations) as [Method, Operation][];
  const described = operations.map(([method, operation]) => [method, toOperation(resource, method, operation)]);
  return { ...Object.fromEntries(described), options: optionsOf(resource) };
}

function toOperation(
  { tag, parameters, fields: shared }: Omit<Resource, 'operations'>,
  method: Method,
  operation: Operation,
): ZodOpenApiOperationObject {
  const { id, summary, description, isOpen = false, query, fields, body, curl } = operation;
  const hasBody = method !== 'head';
  const codes = [...ANYWHERE, ...(isOpen ? [] : WITH_KEY), ...operation.errors];
  const errors = errorAnswers(codes, { hasBody, tag, fields: shared });
  const answers = Object.entries(operation.answers).map(([status, answer]) => [
    status,
    toResponse(answer, shared, hasBody),
  ]);
  return {
    operationId: id,
    summary,
    ...(description === undefined ? {} : { description }),
    tags: [tag],
    ...(isOpen ? { security: [] } : {}),
    requestParams: {
      ...(parameters ? { path: parameters } : {}),
      ...(query ? { query } : {}),
      ...(fields ? { header: fields } : {}),
    },
    ...(body ? { requestBody: body } : {}),
    responses: { ...Object.fromEntries(answers), ...errors } as ZodOpenApiResponsesObject,
    'x-codeSamples': [{ lang: 'Shell', label: 'curl', source: curlOf(curl, isOpen) }],
  };
}

function toResponse(
  { description, fields, content }: Answer,
  shared: z.ZodObject | undefined,
  hasBody: boolean,
): ZodOpenApiResponseObject {
  return {
    description,
    headers: EVERYWHERE.extend({ ...shared?.shape, ...fields?.shape }),
    ...(content && hasBody ? { content } : {}),
  };
}

function curlOf(rest: string, isOpen: boolean): string {
  return `curl ${isOpen ? '' : '-H "Authorization: Bearer $KEY" '}${rest}`;
}

/** Every resource has it, and it needs no key. */
function optionsOf(resource: Resource): ZodOpenApiOperationObject {
  const [first] = Object.values(resource.operations);
  return {
    ...toOperation(resource, 'get', {
      id: `${first?.id}Options`,
      summary: 'Which methods there are',
      description: 'Answered whatever is at the path; also to the preflights of browsers.',
      isOpen: true,
      fields: PREFLIGHT_FIELDS,
      answers: {
        204: { description: 'The methods.', fields: OPTIONS_FIELDS.extend({ ...resource.optionsFields?.shape }) },
      },
      errors: [],
      curl: `-i -X OPTIONS "$CALLFS${resource.path.replaceAll(/\{\w+\}/g, 'x')}"`,
    }),
  };
}

/** HEAD as GET without a body. @param changes what is different */
export function headOf(get: Operation, changes: Partial<Operation> & Pick<Operation, 'id' | 'curl'>): Operation {
  return {
    ...get,
    summary: 'Only the header fields',
    description: 'Answers as GET does, without the body.',
    ...changes,
  };
}
