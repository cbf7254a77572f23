/** An OpenAPI document as the page looks at it: operations in order, references resolved. */
import type { oas32 } from 'zod-openapi';
import type { OpenApiDocument } from '../openapi/document.ts';

export type Schema = oas32.SchemaObjectValue;
export type Parameter = oas32.ParameterObject;
export type Response = oas32.ResponseObject;
export type MediaType = oas32.MediaTypeObject;
export type Header = oas32.HeaderObject;

export interface OperationView {
  readonly id: string;
  readonly method: string;
  readonly path: string;
  readonly tag: string;
  readonly summary: string;
  readonly description: string;
  readonly isOpen: boolean;
  readonly parameters: readonly Parameter[];
  readonly body: oas32.RequestBodyObject | undefined;
  readonly responses: readonly (readonly [status: string, response: Response])[];
  readonly sample: string;
}

const METHODS = ['get', 'head', 'post', 'put', 'patch', 'delete', 'options'] as const;

export class DocumentView {
  readonly document: OpenApiDocument;
  readonly operations: readonly OperationView[];
  /** Header fields that every answer may have. */
  readonly commonFields: ReadonlySet<string>;

  constructor(document: OpenApiDocument) {
    this.document = document;
    this.operations = Object.entries(document.paths ?? {}).flatMap(([path, item]) =>
      METHODS.flatMap((method) => {
        const operation = item[method];
        return operation ? [this.#view(method, path, operation)] : [];
      }),
    );
    const fields = this.operations.flatMap(({ responses }) =>
      responses.map(([, { headers = {} }]) => Object.keys(headers)),
    );
    this.commonFields = fields
      .filter((names) => names.length > 0)
      .map((names) => new Set(names))
      .reduce((common, names) => common.intersection(names));
  }

  get schemas(): readonly (readonly [name: string, schema: Schema])[] {
    return Object.entries(this.document.components?.schemas ?? {}) as [string, Schema][];
  }

  get headers(): readonly (readonly [name: string, header: Header])[] {
    return Object.entries(this.document.components?.headers ?? {}) as [string, Header][];
  }

  /** What a reference leads to, or what was given. */
  resolve<T extends object>(node: T | oas32.ReferenceObject): T {
    if (!('$ref' in node) || typeof node.$ref !== 'string') return node as T;
    const keys = node.$ref.slice(2).split('/');
    return keys.reduce<unknown>((at, key) => (at as Readonly<Record<string, unknown>>)[key], this.document) as T;
  }

  #view(method: string, path: string, operation: oas32.OperationObject): OperationView {
    const { operationId = '', tags = [], summary = '', description = '', security } = operation;
    const [sample] = (operation['x-codeSamples'] ?? []) as { readonly source: string }[];
    return {
      ...{ id: operationId, method: method.toUpperCase(), path, tag: tags[0] ?? '', summary, description },
      isOpen: security?.length === 0,
      parameters: (operation.parameters ?? []).map((parameter) => this.resolve<Parameter>(parameter)),
      body: operation.requestBody && this.resolve<oas32.RequestBodyObject>(operation.requestBody),
      responses: Object.entries(operation.responses ?? {}).map(([status, response]) => [
        status,
        this.resolve<Response>(response),
      ]),
      sample: sample?.source ?? '',
    };
  }
}

/** The last name of a reference; undefined: the schema stands where it is used. */
export function referenceName(schema: object): string | undefined {
  return '$ref' in schema && typeof schema.$ref === 'string' ? schema.$ref.split('/').at(-1) : undefined;
}
