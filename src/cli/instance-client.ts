/** Requests of a command to instances of the cluster. Without a time limit where a whole file may be copied meanwhile. */
import * as http from 'node:http';
import * as https from 'node:https';
import { json } from 'node:stream/consumers';

export interface InstanceClientOptions {
  /** Of a user with `admin: true`. */
  readonly key: string;
  /** Certificates to trust beside the system's, as PEM. */
  readonly ca: string | undefined;
  readonly skipTlsVerify: boolean;
}

export interface InstanceRequest {
  readonly method: string;
  /** Base URL of the instance. */
  readonly endpoint: string;
  /** Path and query. */
  readonly target: string;
  /** Sent as JSON. */
  readonly body?: object;
  /** Without a byte from the instance. */
  readonly timeoutMs?: number;
}

export interface InstanceAnswer {
  readonly status: number;
  readonly body: Readonly<Record<string, unknown>>;
}

export class InstanceClient implements Disposable {
  readonly #key: string;
  readonly #http = new http.Agent({ keepAlive: true });
  readonly #https: https.Agent;

  constructor({ key, ca, skipTlsVerify }: InstanceClientOptions) {
    this.#key = key;
    const trusted = ca === undefined ? {} : { ca };
    this.#https = new https.Agent({ keepAlive: true, rejectUnauthorized: !skipTlsVerify, ...trusted });
  }

  /** @throws Error when no instance answers, or with something that is not JSON */
  async ask({ method, endpoint, target, body, timeoutMs }: InstanceRequest): Promise<InstanceAnswer> {
    const text = body === undefined ? undefined : JSON.stringify(body);
    const answer = await this.#send(method, endpoint + target, text, timeoutMs);
    const parsed = await json(answer);
    if (typeof parsed !== 'object' || parsed === null) throw new Error('it is not a CallFS instance');
    return { status: answer.statusCode ?? 0, body: parsed as Record<string, unknown> };
  }

  #send(
    method: string,
    url: string,
    text: string | undefined,
    timeoutMs: number | undefined,
  ): Promise<http.IncomingMessage> {
    const isSecure = url.startsWith('https:');
    const headers = { authorization: `Bearer ${this.#key}`, 'content-type': 'application/json' };
    const length = text === undefined ? {} : { 'content-length': Buffer.byteLength(text) };
    const options = { method, headers: { ...headers, ...length }, agent: isSecure ? this.#https : this.#http };
    return new Promise((resolve, reject) => {
      const request = (isSecure ? https : http).request(url, options, resolve);
      request.on('error', reject);
      if (timeoutMs !== undefined) {
        request.setTimeout(timeoutMs, () => request.destroy(new Error(`no answer within ${timeoutMs / 1000} s`)));
      }
      request.end(text);
    });
  }

  [Symbol.dispose](): void {
    this.#http.destroy();
    this.#https.destroy();
  }
}
