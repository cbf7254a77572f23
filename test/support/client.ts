/** A small HTTP client for tests: paths by name, whole bodies, no surprises. */
import { request } from 'undici';
import { ALICE_KEY } from './cluster.ts';

export interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly body: Buffer;
  readonly text: string;
  /** The body as JSON. */
  json(): Record<string, unknown>;
}

export interface CallOptions {
  readonly key?: string | null;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string | Buffer;
  readonly signal?: AbortSignal;
}

/** @param path sent as it is, e.g. `/v1/files/a%20b` */
export async function call(method: string, url: string, path: string, options: CallOptions = {}): Promise<Answer> {
  const { key = ALICE_KEY, headers = {}, body = null, signal } = options;
  const authorization: Record<string, string> = key === null ? {} : { authorization: `Bearer ${key}` };
  const answer = await request(url + path, {
    method: method as 'GET',
    headers: { ...authorization, ...headers },
    body,
    headersTimeout: 120_000,
    bodyTimeout: 120_000,
    ...(signal ? { signal } : {}),
  });
  const bytes = Buffer.from(await answer.body.arrayBuffer());
  return {
    status: answer.statusCode,
    headers: answer.headers,
    body: bytes,
    text: bytes.toString('utf8'),
    json: () => JSON.parse(bytes.toString('utf8')) as Record<string, unknown>,
  };
}
