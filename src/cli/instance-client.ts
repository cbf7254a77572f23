/** Requests of a command to instances of the cluster. However long one takes, it ends when the instance falls silent. */
import * as http from 'node:http';
import * as https from 'node:https';
import { json } from 'node:stream/consumers';
import type { ConnectionOptions } from 'node:tls';

export interface InstanceClientOptions {
  /** Of a user with `admin: true`. */
  readonly key: string;
  /** Whom to believe over TLS, see instance-trust.ts. */
  readonly trust: ConnectionOptions;
  /** Aborted: what is not answered yet is broken off. */
  readonly signal: AbortSignal;
}

export interface InstanceRequest {
  readonly method: string;
  /** Base URL of the instance. */
  readonly endpoint: string;
  /** Path and query. */
  readonly target: string;
  /** Sent as JSON. */
  readonly body?: object;
  /** Beside those that every request has. */
  readonly headers?: Readonly<Record<string, string>>;
  /** Without a byte from the instance; that it is still working (102) counts. */
  readonly timeoutMs: number;
}

export interface InstanceAnswer {
  readonly status: number;
  readonly body: Readonly<Record<string, unknown>>;
}

export class InstanceClient implements Disposable {
  readonly #key: string;
  readonly #signal: AbortSignal;
  readonly #http = new http.Agent({ keepAlive: true });
  readonly #https: https.Agent;

  constructor({ key, trust, signal }: InstanceClientOptions) {
    this.#key = key;
    this.#signal = signal;
    this.#https = new https.Agent({ keepAlive: true, ...trust });
  }

  /** @throws Error when no instance answers, or with something that is not JSON */
  async ask(request: InstanceRequest): Promise<InstanceAnswer> {
    const answer = await this.#send(request);
    const parsed = await json(answer);
    if (typeof parsed !== 'object' || parsed === null) throw new Error('it is not a CallFS instance');
    return { status: answer.statusCode ?? 0, body: parsed as Record<string, unknown> };
  }

  #send({ method, endpoint, target, body, headers: own, timeoutMs }: InstanceRequest): Promise<http.IncomingMessage> {
    const url = endpoint + target;
    const text = body === undefined ? undefined : JSON.stringify(body);
    const isSecure = url.startsWith('https:');
    const headers = { ...own, authorization: `Bearer ${this.#key}`, 'content-type': 'application/json' };
    const length = text === undefined ? {} : { 'content-length': Buffer.byteLength(text) };
    const agent = isSecure ? this.#https : this.#http;
    // As an option it also limits how long a connection takes to come about.
    const limits = { timeout: timeoutMs, signal: this.#signal };
    const options = { method, headers: { ...headers, ...length }, agent, ...limits };
    return new Promise((resolve, reject) => {
      const request = (isSecure ? https : http).request(url, options, resolve);
      request.on('error', reject);
      request.on('timeout', () => request.destroy(new Error(`no sign of life within ${timeoutMs / 1000} s`)));
      request.end(text);
    });
  }

  [Symbol.dispose](): void {
    this.#http.destroy();
    this.#https.destroy();
  }
}
