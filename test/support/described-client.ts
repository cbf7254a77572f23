/**
 * A client that holds a server to its own OpenAPI document: whatever it asks and is answered must be described there, and
 * it remembers what it has seen.
 */
import assert from 'node:assert/strict';
import { Ajv2020, type ValidateFunction } from 'ajv/dist/2020.js';
import addFormats from 'ajv-formats';
import { type Answer, type CallOptions, call } from './client.ts';

type Node = Readonly<Record<string, unknown>>;

interface Parameter {
  readonly name: string;
  readonly in: 'path' | 'query' | 'header';
  readonly required?: boolean;
}

export interface DescribedCall extends CallOptions {
  /** Of the path, as they stand in the target. */
  readonly params?: Readonly<Record<string, string>>;
  readonly query?: Readonly<Record<string, string>>;
  /** The request is not as the document wants it; the document must say so, too. */
  readonly isWrong?: boolean;
}

/** What the document need not name: they belong to the connection, to content negotiation, or to all of HTTP. */
const UNNAMED_IN_ANSWERS = new Set(['connection', 'keep-alive', 'transfer-encoding', 'date', 'content-type']);
const UNNAMED_IN_REQUESTS = new Set(['authorization', 'content-type', 'accept', 'origin']);

export class DescribedClient {
  readonly document: Node;
  /** `GET /health 200` and how often each was seen, by base URL. */
  readonly #seen = new Map<string, Set<string>>();
  readonly #ajv = new Ajv2020({ strict: true, strictTypes: false, strictRequired: false, allErrors: true });
  readonly #compiled = new Map<string, ValidateFunction>();

  constructor(document: Node) {
    this.document = document;
    addFormats.default(this.#ajv);
    // So that references within the document lead where they shall; what is no schema means nothing.
    this.#ajv.addVocabulary(Object.keys(document));
    this.#ajv.addSchema(document, 'document', false, false);
  }

  /** `GET /v1/files/{path}` and so on, with the statuses that are described. */
  get operations(): ReadonlyMap<string, readonly string[]> {
    const paths = Object.entries(this.document.paths as Record<string, Record<string, Node>>);
    const all = paths.flatMap(([path, item]) =>
      Object.entries(item).map(
        ([method, { responses }]) => [`${method.toUpperCase()} ${path}`, Object.keys(responses as Node)] as const,
      ),
    );
    return new Map(all);
  }

  /** The base URLs at which an operation was answered with a status. */
  seen(operation: string, status: string | number): ReadonlySet<string> {
    return this.#seen.get(`${operation} ${status}`) ?? new Set();
  }

  async call(method: string, url: string, path: string, options: DescribedCall = {}): Promise<Answer> {
    const { params = {}, query = {}, isWrong = false } = options;
    const pointer = `/paths/${escapePointer(path)}/${method.toLowerCase()}`;
    const headers = { ...this.#typed(pointer, options), ...options.headers };
    const problems = this.#problemsOf(pointer, { ...options, headers });
    if (!isWrong) assert.deepEqual(problems, [], `the request ${method} ${path} is not as described`);
    else assert.notDeepEqual(problems, [], `the document does not tell what is wrong with ${method} ${path}`);
    const target = path.replaceAll(/\{(\w+)\}/g, (_match, name) => params[name] ?? '');
    const search = new URLSearchParams(query).toString();
    const answer = await call(method, url, search === '' ? target : `${target}?${search}`, { ...options, headers });
    this.check(method, url, path, answer);
    return answer;
  }

  /** An answer that came in another way. */
  check(method: string, url: string, path: string, answer: Pick<Answer, 'status' | 'headers' | 'body'>): void {
    const { status, headers, body } = answer;
    const operation = `${method} ${path}`;
    const pointer = `/paths/${escapePointer(path)}/${method.toLowerCase()}/responses/${status}`;
    const told = `${operation} at ${url} answers ${status} ${body.subarray(0, 300)}`;
    const found = this.#find(pointer);
    assert(found, `${told}, which is not described`);
    this.#checkHeaders(found.pointer, headers, told);
    this.#checkBody(found, answer, told);
    const key = `${operation} ${status}`;
    this.#seen.set(key, new Set(this.#seen.get(key)).add(url));
  }

  #checkHeaders(pointer: string, headers: Answer['headers'], told: string): void {
    const described = Object.keys((this.#find(`${pointer}/headers`)?.node ?? {}) as Node);
    const names = new Set(described.map((name) => name.toLowerCase()));
    for (const name of Object.keys(headers)) {
      assert(names.has(name) || UNNAMED_IN_ANSWERS.has(name), `${told} with ${name}, which is not described`);
    }
    for (const name of described) {
      const header = this.#find(`${pointer}/headers/${escapePointer(name)}`);
      const value = headers[name.toLowerCase()];
      assert(value !== undefined || header?.node.required !== true, `${told} without ${name}`);
      if (value === undefined || !header) continue;
      const problems = this.#invalid(`${header.pointer}/schema`, toValue(String(value), this.#typeOf(header.pointer)));
      assert.deepEqual(problems, [], `${told} with ${name}: ${value}`);
    }
  }

  #checkBody({ node, pointer }: Found, { headers, body }: Pick<Answer, 'headers' | 'body'>, told: string): void {
    const content = Object.keys((node.content ?? {}) as Node);
    if (content.length === 0) {
      assert.equal(body.length, 0, `${told} with a body`);
      return;
    }
    const type = String(headers['content-type']).split(';')[0] ?? '';
    const key = content.find((name) => name === type) ?? content.find((name) => name === '*/*');
    assert(key, `${told} as ${type}, which is not described`);
    const value: unknown = type === 'application/json' ? JSON.parse(body.toString()) : body.toString();
    const isListing = headers['x-callfs-type'] === 'directory' && Array.isArray(value);
    const schema = isListing ? '/components/schemas/Entries' : `${pointer}/content/${escapePointer(key)}/schema`;
    assert.deepEqual(this.#invalid(schema, value), [], told);
    if (type === 'application/x-ndjson') {
      const lines = body.toString().split('\n').slice(0, -1);
      for (const line of lines) assert.deepEqual(this.#invalid('/components/schemas/Entry', JSON.parse(line)), []);
    }
  }

  /** The type that a body must say it has, where the document wants a certain one. */
  #typed(pointer: string, { body }: DescribedCall): Record<string, string> {
    const [type] = Object.keys((this.#find(`${pointer}/requestBody/content`)?.node ?? {}) as Node);
    return body === undefined || type === undefined || type === '*/*' ? {} : { 'content-type': type };
  }

  #problemsOf(pointer: string, { params = {}, query = {}, headers = {}, body }: DescribedCall): unknown[] {
    const given = { path: params, query, header: lowerCased(headers) };
    const listed = (this.#find(pointer)?.node.parameters ?? []) as readonly unknown[];
    const parameters = listed
      .map((_one, at) => this.#find(`${pointer}/parameters/${at}`))
      .filter((one) => one !== undefined);
    const problems: unknown[] = parameters.flatMap(({ node, pointer: at }) => {
      const { name, in: place, required } = node as unknown as Parameter;
      const value = given[place][place === 'header' ? name.toLowerCase() : name];
      if (value === undefined) return required && place !== 'path' ? [`${name} is missing`] : [];
      return this.#invalid(`${at}/schema`, toValue(value, this.#typeOf(at)));
    });
    const known = new Set(parameters.map(({ node }) => `${node.in} ${String(node.name).toLowerCase()}`));
    const named = [
      ...Object.keys(query).map((name) => `query ${name.toLowerCase()}`),
      ...Object.keys(given.header)
        .filter((name) => !UNNAMED_IN_REQUESTS.has(name))
        .map((name) => `header ${name}`),
    ];
    problems.push(...named.filter((name) => !known.has(name)));
    return [...problems, ...this.#problemsOfBody(pointer, body, given.header['content-type'])];
  }

  #problemsOfBody(pointer: string, body: DescribedCall['body'], type: string | undefined): unknown[] {
    const described = this.#find(`${pointer}/requestBody`);
    if (body === undefined) return described?.node.required === true ? ['the body is missing'] : [];
    const content = Object.keys((described?.node.content ?? {}) as Node);
    if (content.includes('*/*')) return [];
    if (!described || type === undefined || !content.includes(type)) return [`no body of type ${type}`];
    if (type !== 'application/json') return [];
    return this.#invalid(`${described.pointer}/content/${escapePointer(type)}/schema`, parseJson(String(body)));
  }

  /** What stands at a pointer, references followed. */
  #find(pointer: string): Found | undefined {
    let [node, at]: [unknown, string] = [this.document, ''];
    for (const key of pointer.split('/').slice(1)) {
      node = (node as Node | undefined)?.[unescapePointer(key)];
      at += `/${key}`;
      const reference = (node as Node | undefined)?.$ref;
      if (typeof reference === 'string') {
        const found: Found | undefined = this.#find(reference.slice(1));
        [node, at] = [found?.node, found?.pointer ?? ''];
      }
    }
    return node === undefined ? undefined : { node: node as Node, pointer: at };
  }

  #typeOf(pointer: string): unknown {
    return this.#find(`${pointer}/schema`)?.node.type;
  }

  /** What is wrong with a value. */
  #invalid(pointer: string, value: unknown): unknown[] {
    const validate = this.#compiled.getOrInsertComputed(pointer, () =>
      this.#ajv.compile({ $ref: `document#${encodeURI(pointer)}` }),
    );
    return validate(value)
      ? []
      : (validate.errors ?? []).map(({ instancePath, message }) => `${instancePath} ${message}`);
  }
}

interface Found {
  readonly node: Node;
  readonly pointer: string;
}

function toValue(text: string, type: unknown): unknown {
  return type === 'integer' && /^-?\d+$/.test(text) ? Number(text) : text;
}

function lowerCased(headers: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value]));
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

const escapePointer = (name: string): string => name.replaceAll('~', '~0').replaceAll('/', '~1');
const unescapePointer = (key: string): string => key.replaceAll('~1', '/').replaceAll('~0', '~');
