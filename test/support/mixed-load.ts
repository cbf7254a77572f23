/**
 * Clients that do everything at once at all instances, at a steady rate, and know what each answer must be: nobody else
 * works on a path while one of them does, so every status and every byte is certain.
 */
import assert from 'node:assert/strict';
import { type Answer, call } from './client.ts';
import type { TestCluster, TestInstance } from './cluster.ts';

/** What a path may hold: one state, or both when a write broke off while an instance was down. Undefined: nothing. */
type States = readonly (string | undefined)[];

const KINDS = ['get', 'get', 'get', 'head', 'put', 'put', 'post', 'post-new', 'delete', 'rename', 'mode'] as const;
type Kind = (typeof KINDS)[number];

export interface MixedLoadOptions {
  readonly perSecond: number;
  readonly seed: number;
}

export class MixedLoad {
  readonly #cluster: TestCluster;
  readonly #everyMs: number;
  readonly #states = new Map<string, States>();
  readonly #busy = new Set<string>();
  readonly #running = new Set<Promise<void>>();
  /** What was not as it must be. */
  readonly complaints: string[] = [];
  readonly counts: Record<string, number> = {};
  /** Of requests that were answered, in milliseconds. */
  slowestMs = 0;
  #random: number;
  #serial = 0;
  #timer: NodeJS.Timeout | undefined;
  /** Instances that are down or were a moment ago: what needs them may fail. */
  readonly outages = new Set<TestInstance>();

  constructor(cluster: TestCluster, { perSecond, seed }: MixedLoadOptions) {
    this.#cluster = cluster;
    this.#everyMs = 1000 / perSecond;
    this.#random = seed;
  }

  get done(): number {
    return Object.values(this.counts).reduce((sum, count) => sum + count, 0);
  }

  /** Files that exist, to begin with. */
  async populate(at: TestInstance, folder: string, count: number): Promise<void> {
    const rest = Array.from({ length: count }, (_, index) => `/${folder}/${index % 50}/file-${index}.txt`).values();
    const lane = async (): Promise<void> => {
      for (const path of rest) {
        const body = this.#newBody(path);
        const answer = await call('PUT', at.url, `/v1/files${path}`, { body });
        assert.equal(answer.status, 201, answer.text);
        this.#states.set(path, [body]);
      }
    };
    await Promise.all(Array.from({ length: 16 }, lane));
  }

  start(): void {
    let next = performance.now();
    const tick = (): void => {
      // As many as are due, so that a late timer does not make the load lighter.
      for (; next <= performance.now(); next += this.#everyMs) this.#spawn();
      this.#timer = setTimeout(tick, Math.max(1, next - performance.now()));
    };
    tick();
  }

  async stop(): Promise<void> {
    clearTimeout(this.#timer);
    await Promise.all(this.#running);
  }

  /** Reads everything back at every instance. */
  async verify(): Promise<void> {
    for (const instance of this.#cluster.instances) {
      const rest = [...this.#states.keys()].values();
      const lane = async (): Promise<void> => {
        for (const path of rest) await this.#read(instance, path, 'get');
      };
      await Promise.all(Array.from({ length: 16 }, lane));
    }
  }

  #spawn(): void {
    const work = this.#once().catch((error: unknown) => {
      this.complaints.push(`the load itself failed: ${error instanceof Error ? error.stack : error}`);
    });
    this.#running.add(work);
    void work.then(() => this.#running.delete(work));
  }

  async #once(): Promise<void> {
    const kind = this.#pick(KINDS);
    const instance = this.#pick(this.#cluster.instances);
    const path = kind === 'post-new' ? this.#newPath() : this.#pick([...this.#states.keys()]);
    const target = kind === 'rename' ? this.#newPath() : path;
    if (this.#busy.has(path)) return;
    for (const taken of [path, target]) this.#busy.add(taken);
    try {
      this.counts[kind] = (this.counts[kind] ?? 0) + 1;
      await this.#do(kind, instance, path, target);
    } finally {
      for (const taken of [path, target]) this.#busy.delete(taken);
    }
  }

  async #do(kind: Kind, instance: TestInstance, path: string, target: string): Promise<void> {
    switch (kind) {
      case 'get':
      case 'head':
        return this.#read(instance, path, kind);
      case 'put':
        return this.#write(instance, 'PUT', path);
      case 'post':
      case 'post-new':
        return this.#write(instance, 'POST', path);
      case 'delete':
        return this.#change(instance, path, 'DELETE', undefined, 204, undefined);
      case 'mode':
        return this.#change(instance, path, 'PATCH', JSON.stringify({ mode: '0640' }), 200, path);
      case 'rename':
        return this.#change(
          instance,
          path,
          'PATCH',
          JSON.stringify({ destination: target, create_parents: true }),
          200,
          target,
        );
    }
  }

  async #read(instance: TestInstance, path: string, kind: 'get' | 'head'): Promise<void> {
    const states = this.#statesOf(path);
    const answer = await this.#call(instance, kind.toUpperCase(), path);
    if (!answer) return;
    const found = states.find((state) =>
      state === undefined
        ? answer.status === 404
        : answer.status === 200 &&
          answer.headers['content-length'] === String(Buffer.byteLength(state)) &&
          (kind === 'head' || answer.text === state),
    );
    const matches = states.some((state) => state === found) && (found !== undefined || answer.status === 404);
    if (!matches) this.#complain(instance, kind, path, answer, states);
    else if (kind === 'get') this.#states.set(path, [found]);
  }

  async #write(instance: TestInstance, method: 'PUT' | 'POST', path: string): Promise<void> {
    const states = this.#statesOf(path);
    const body = this.#newBody(path);
    this.#states.set(path, [...states, body]);
    const answer = await this.#call(instance, method, path, body);
    if (!answer) return;
    const exists = answer.status === (method === 'PUT' ? 200 : 409);
    const created = answer.status === 201;
    if (!(created && states.includes(undefined)) && !(exists && states.some((state) => state !== undefined))) {
      this.#complain(instance, method, path, answer, states);
    }
    const isWritten = created || method === 'PUT';
    this.#states.set(path, isWritten ? [body] : states.filter((state) => state !== undefined));
  }

  /** @param to where it is afterwards; undefined: nowhere */
  async #change(
    instance: TestInstance,
    path: string,
    method: string,
    body: string | undefined,
    success: number,
    to: string | undefined,
  ): Promise<void> {
    const states = this.#statesOf(path);
    const present = states.filter((state) => state !== undefined);
    if (to !== path) {
      this.#states.set(path, [...states, undefined]);
      if (to !== undefined) this.#states.set(to, [...present, undefined]);
    }
    const answer = await this.#call(instance, method, path, body);
    if (!answer) return;
    if (answer.status === 404 && states.includes(undefined)) {
      this.#states.set(path, [undefined]);
      if (to !== undefined && to !== path) this.#states.set(to, [undefined]);
    } else if (answer.status === success && present.length > 0) {
      if (to !== path) this.#states.set(path, [undefined]);
      if (to !== undefined) this.#states.set(to, present);
    } else {
      this.#complain(instance, method, path, answer, states);
    }
  }

  #statesOf(path: string): States {
    return this.#states.get(path) ?? [undefined];
  }

  /** Undefined: it failed because an instance is down, and may have happened or not. */
  async #call(instance: TestInstance, method: string, path: string, body?: string): Promise<Answer | undefined> {
    const startedAt = performance.now();
    const before = [...this.outages];
    const isExcused = (id: unknown): boolean =>
      [...before, ...this.outages].some((down) => (id ?? down.id) === down.id);
    try {
      const answer = await call(method, instance.url, `/v1/files${path}`, body === undefined ? {} : { body });
      const ms = performance.now() - startedAt;
      this.slowestMs = Math.max(this.slowestMs, ms);
      if (answer.status < 500) return answer;
      // It is down, or about to serve: it accepts requests that nobody answers yet.
      const isAway = answer.status === 502 || answer.status === 504;
      if (isAway && isExcused(method === 'HEAD' ? undefined : answer.json().instance_id)) return this.#failed();
      this.complaints.push(`${method} ${path} at ${instance.id}: ${answer.status} after ${ms} ms: ${answer.text}`);
      return undefined;
    } catch (error) {
      if (isExcused(instance.id)) return this.#failed();
      throw error;
    }
  }

  #failed(): undefined {
    this.counts['failed in an outage'] = (this.counts['failed in an outage'] ?? 0) + 1;
    return undefined;
  }

  #complain({ id }: TestInstance, what: string, path: string, { status, text }: Answer, states: States): void {
    const expected = states.map((state) => (state === undefined ? 'nothing' : `${state.length} bytes`)).join(' or ');
    this.complaints.push(`${what} ${path} at ${id}: ${status} ${text.slice(0, 200)}; there must be ${expected}`);
  }

  #newPath(): string {
    return `/new/${this.#serial % 20}/file-${++this.#serial}.txt`;
  }

  #newBody(path: string): string {
    const size = this.#next() < 0.02 ? 300_000 : Math.floor(this.#next() * 3000);
    return `${path} ${++this.#serial} `.padEnd(size, `${this.#serial}.`);
  }

  #pick<T>(items: readonly T[]): T {
    const item = items[Math.floor(this.#next() * items.length)];
    assert.ok(item !== undefined);
    return item;
  }

  /** From 0 up to 1 (mulberry32). */
  #next(): number {
    this.#random = (this.#random + 0x6d2b79f5) | 0;
    let bits = Math.imul(this.#random ^ (this.#random >>> 15), 1 | this.#random);
    bits = (bits + Math.imul(bits ^ (bits >>> 7), 61 | bits)) ^ bits;
    return ((bits ^ (bits >>> 14)) >>> 0) / 4_294_967_296;
  }
}
