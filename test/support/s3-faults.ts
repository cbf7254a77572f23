/** Stands between clients and an S3 server: counts what is asked, and lets chosen requests fail in chosen ways. */
import * as http from 'node:http';
import type { Writable } from 'node:stream';
import { listenAnywhere } from './member.ts';
import { type S3Operation, type S3Request, s3Request } from './s3-request.ts';

/** What happens to a request. */
export type S3Fault =
  /** 500, not passed on. */
  | 'internal-error'
  /** 503, not passed on. */
  | 'slow-down'
  /** 403, not passed on. */
  | 'access-denied'
  /** It is taken, not passed on, and never answered. */
  | 'silence'
  /** It is not passed on; the connection is reset. */
  | 'reset'
  /** The server does what is asked; when it answers the connection to the client is reset instead. */
  | 'lose-answer'
  /** Half of the request's body is passed on, then both connections are reset. */
  | 'cut-upload'
  /** The client gets half of the answer's body, then a reset. */
  | 'cut-download'
  /** The client gets half of the answer's body, then an orderly end of the connection. */
  | 'truncate'
  /** It is passed on, this much later. */
  | { readonly delayMs: number };

/** Which requests; all of it must hold. */
export interface Which {
  readonly operation?: S3Operation;
  readonly method?: string;
  /** Matched against the key, without the bucket. */
  readonly key?: RegExp;
  /** How many requests at most; no limit without it. */
  readonly times?: number;
  /** Of every request that it is for, 0 … 1; 1 without it. */
  readonly probability?: number;
}

/** What `on` gives: how often it has struck, and a way to end it. */
export interface FaultRule {
  readonly hits: number;
  remove(): void;
}

const ERRORS = {
  'internal-error': { status: 500, code: 'InternalError' },
  'slow-down': { status: 503, code: 'SlowDown' },
  'access-denied': { status: 403, code: 'AccessDenied' },
} as const;

/** A reset overtakes what the receiver has not read yet. */
const READ_WITHIN_MS = 20;

export class S3Faults implements AsyncDisposable {
  /** `http://127.0.0.1:…`, for clients; path style only. */
  readonly endpoint: string;
  readonly #counts = new Map<S3Operation, number>();
  readonly #rules = new Set<Rule>();
  readonly #server: http.Server;
  readonly #target: URL;
  readonly #agent = new http.Agent({ keepAlive: true });

  private constructor(server: http.Server, port: number, target: string) {
    this.endpoint = `http://127.0.0.1:${port}`;
    this.#server = server;
    this.#target = new URL(target);
    const serve = (request: http.IncomingMessage, response: http.ServerResponse): void =>
      this.#serve(request, response);
    server.on('request', serve);
    server.on('checkContinue', serve);
  }

  /** @param target the endpoint of the server, `http://…` */
  static async start(target: string): Promise<S3Faults> {
    const server = http.createServer({ requestTimeout: 0, headersTimeout: 0 });
    return new S3Faults(server, await listenAnywhere(server), target);
  }

  /** From now on, for every request that `which` is about and no earlier rule takes. */
  on(which: Which, fault: S3Fault): FaultRule {
    const rule = new Rule(which, fault, () => this.#rules.delete(rule));
    this.#rules.add(rule);
    return rule;
  }

  /** Ends all rules. */
  clear(): void {
    this.#rules.clear();
  }

  /** How many requests came in, of one operation or of all, whatever became of them. */
  asked(operation?: S3Operation): number {
    if (operation !== undefined) return this.#counts.get(operation) ?? 0;
    return [...this.#counts.values()].reduce((sum, count) => sum + count, 0);
  }

  #serve(request: http.IncomingMessage, response: http.ServerResponse): void {
    const asked = s3Request(request);
    this.#counts.set(asked.operation, this.asked(asked.operation) + 1);
    request.on('error', () => {});
    response.on('error', () => {});
    const fault = [...this.#rules].find((rule) => rule.takes(asked))?.fault;
    if (typeof fault === 'object') {
      const timer = setTimeout(() => this.#passOn(request, response), fault.delayMs);
      response.once('close', () => clearTimeout(timer));
    } else if (fault === 'internal-error' || fault === 'slow-down' || fault === 'access-denied') {
      answerError(request, response, ERRORS[fault]);
    } else if (fault === 'reset') {
      request.socket.resetAndDestroy();
    } else if (fault === 'silence') {
      letSend(request, response);
      request.resume();
    } else {
      this.#passOn(request, response, fault);
    }
  }

  /** Unchanged, `Host` too: it is signed. */
  #passOn(
    request: http.IncomingMessage,
    response: http.ServerResponse,
    fault?: 'lose-answer' | 'cut-upload' | 'cut-download' | 'truncate',
  ): void {
    const { method, url: path, rawHeaders: headers } = request;
    const { hostname: host, port } = this.#target;
    const passedOn = http.request({ host, port, method, path, headers, agent: this.#agent, setHost: false });
    passedOn.on('error', () => request.socket.resetAndDestroy());
    response.once('close', () => {
      if (!response.writableFinished && fault !== 'lose-answer') passedOn.destroy();
    });
    passedOn.once('response', (answer) => {
      if (fault === 'lose-answer') {
        answer.resume();
        request.socket.resetAndDestroy();
      } else {
        answerWith(answer, response, fault === 'cut-download' || fault === 'truncate' ? fault : undefined);
      }
    });
    letSend(request, response);
    if (fault === 'cut-upload') {
      passHalf(request, passedOn, () => {
        request.socket.resetAndDestroy();
        passedOn.destroy();
      });
    } else {
      request.pipe(passedOn);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const closed = new Promise((resolve) => this.#server.close(resolve));
    this.#server.closeAllConnections();
    this.#agent.destroy();
    await closed;
  }
}

class Rule implements FaultRule {
  readonly fault: S3Fault;
  readonly remove: () => void;
  readonly #which: Which;
  hits = 0;

  constructor(which: Which, fault: S3Fault, remove: () => void) {
    this.#which = which;
    this.fault = fault;
    this.remove = remove;
  }

  takes(asked: S3Request): boolean {
    const { operation, method, key, times = Number.POSITIVE_INFINITY, probability = 1 } = this.#which;
    if (this.hits >= times) return false;
    if (operation !== undefined && operation !== asked.operation) return false;
    if (method !== undefined && method !== asked.method) return false;
    if (key !== undefined && asked.key.search(key) < 0) return false;
    if (Math.random() >= probability) return false;
    this.hits++;
    return true;
  }
}

/** For clients that ask before they send a body. */
function letSend(request: http.IncomingMessage, response: http.ServerResponse): void {
  if (request.headers.expect === '100-continue') response.writeContinue();
}

function answerError(
  request: http.IncomingMessage,
  response: http.ServerResponse,
  { status, code }: { readonly status: number; readonly code: string },
): void {
  letSend(request, response);
  request.resume();
  const xml = `<?xml version="1.0" encoding="UTF-8"?><Error><Code>${code}</Code><Message>injected</Message></Error>`;
  request.once('end', () => response.writeHead(status, { 'content-type': 'application/xml' }).end(xml));
}

function answerWith(
  answer: http.IncomingMessage,
  response: http.ServerResponse,
  fault?: 'cut-download' | 'truncate',
): void {
  const { socket } = response.req;
  response.sendDate = false;
  response.writeHead(answer.statusCode ?? 502, answer.statusMessage, answer.rawHeaders);
  answer.on('error', () => socket.resetAndDestroy());
  if (!fault) {
    answer.pipe(response);
    return;
  }
  response.flushHeaders();
  passHalf(answer, response, () => {
    answer.destroy();
    if (fault === 'truncate') socket.end();
    else setTimeout(() => socket.resetAndDestroy(), READ_WITHIN_MS);
  });
}

/** Passes on the first half of a body, only the first byte where its length is not told, then calls `cut`. */
function passHalf(message: http.IncomingMessage, sink: Writable, cut: () => void): void {
  let left = Math.floor(Number(message.headers['content-length'] ?? 2) / 2);
  const pass = async (): Promise<void> => {
    for await (const chunk of message.iterator({ destroyOnReturn: false })) {
      const part = (chunk as Buffer).subarray(0, left);
      left -= part.length;
      if (part.length > 0) await new Promise((resolve) => sink.write(part, resolve));
      if (left === 0) return;
    }
  };
  // An end of either side before its time is a cut, too.
  pass().then(cut, cut);
}
