/**
 * Real instances for tests: processes of `bin/callfs` on one metadata store (test-store.ts), each with its own data
 * folder, on loopback ports that the system chooses. Disposing stops them and removes every file.
 */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { prepareBucket, sectionsOf, type TestBucket } from './test-bucket.ts';
import { prepareStore, storeConfig } from './test-store.ts';
import { TestPki, TLS_BY_DEFAULT, type TlsKind } from './tls.ts';
import { waitFor } from './wait-for.ts';

const CALLFS = fileURLToPath(new URL('../../bin/callfs', import.meta.url));

export const ALICE_KEY = 'alice-0f8b6d1c2e3a49587766';
export const BOB_KEY = 'bob-9c1d2e3f4a5b60718293aa';
export const ADMIN_KEY = 'admin-77665544332211ffeedd';
/** Long, because a whole suite may share few processors; an instance that ends is noticed at once. */
const START_TIMEOUT_MS = 60_000;
const INTERNAL_SECRET = 'internal-5a4b3c2d1e0f9988';

export interface LogLine {
  readonly [field: string]: unknown;
}

export class TestInstance implements AsyncDisposable {
  readonly id: string;
  readonly dataRoot: string;
  readonly configFile: string;
  /** Base URL; a new one after each start. */
  url = '';
  /** Every line logged since the instance was first started. */
  readonly log: LogLine[] = [];
  stderr = '';
  /** Whether its processes take commands of a crash test, see fault-injection.ts. */
  commanded = false;
  /** False: lines after the start are thrown away unread. */
  keepLog = true;
  #process: ChildProcess | undefined;

  constructor(id: string, folder: string, config: object) {
    this.id = id;
    this.dataRoot = join(folder, `data-${id}`);
    this.configFile = join(folder, `${id}.json`);
    writeFileSync(this.configFile, JSON.stringify(config));
  }

  get pid(): number {
    assert(this.#process?.pid, `${this.id} is not running`);
    return this.#process.pid;
  }

  get isRunning(): boolean {
    return this.#process !== undefined && this.#process.exitCode === null && this.#process.signalCode === null;
  }

  /** Resolves when the instance answers; rejects with its complaint when it ends instead. */
  async start(env: NodeJS.ProcessEnv = {}): Promise<void> {
    const child = spawn(CALLFS, ['server', '--config', this.configFile], {
      stdio: this.commanded ? ['ignore', 'pipe', 'pipe', 'ipc'] : ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, ...(this.commanded ? { CALLFS_FAULT_POINT: 'commanded' } : {}), ...env },
    });
    assert(child.stdout && child.stderr);
    this.#process = child;
    this.url = '';
    this.stderr = '';
    child.stderr.on('data', (text) => {
      this.stderr += text;
    });
    const lines = createInterface({ input: child.stdout }).on('line', (line) => this.#onLine(line));
    await waitFor(
      `${this.id} to answer`,
      () => {
        if (!this.isRunning) throw new Error(this.stderr.trim() || `${this.id} ended without a word`);
        return this.url !== '';
      },
      START_TIMEOUT_MS,
    );
    if (this.keepLog) return;
    lines.close();
    child.stdout.resume();
  }

  #onLine(line: string): void {
    const entry = JSON.parse(line) as LogLine;
    this.log.push(entry);
    if (entry.msg === 'instance is running') this.url = String(entry.url);
  }

  /** Tells the process what it shall do for a crash test; resolves to its answer, rejects when it ends instead. */
  command(message: object): Promise<unknown> {
    const child = this.#process;
    assert(child);
    return new Promise((resolve, reject) => {
      const onEnd = (): void => reject(new Error(`${this.id} ended`));
      if (!this.isRunning) onEnd();
      child.once('exit', onEnd).once('message', (answer) => {
        child.off('exit', onEnd);
        resolve(answer);
      });
      child.send(message, (error) => {
        if (error) reject(error);
      });
    });
  }

  signal(signal: NodeJS.Signals): void {
    process.kill(this.pid, signal);
  }

  /** SIGKILL: nothing gets a chance to clean up. */
  async kill(): Promise<void> {
    await this.#end('SIGKILL');
  }

  /** SIGTERM; resolves to the exit code. */
  async stop(): Promise<number | null> {
    return this.#end('SIGTERM');
  }

  async #end(signal: NodeJS.Signals): Promise<number | null> {
    const child = this.#process;
    if (!child || !this.isRunning) return child?.exitCode ?? null;
    const exited = once(child, 'exit');
    child.kill(signal);
    await exited;
    return child.exitCode;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.isRunning) this.signal('SIGCONT');
    await this.kill();
  }
}

export interface ClusterOptions {
  readonly instances?: number;
  /** Merged, section by section, over each instance's configuration. */
  readonly config?: Readonly<Record<string, object>>;
  /** Whether tests may look at the log; it costs the time to parse it. Default: true. */
  readonly keepLog?: boolean;
  /** Whether clients and peers come over TLS, `mutual`: peers with certificates of their own. Default: tls.ts says. */
  readonly tls?: TlsKind | undefined;
}

export class TestCluster implements AsyncDisposable {
  readonly folder: string;
  readonly instances: readonly TestInstance[];
  /** Undefined: without TLS. */
  readonly pki: TestPki | undefined;
  /** Undefined: all files lie on disks, unless the test sees to it. */
  readonly bucket: TestBucket | undefined;

  constructor(folder: string, instances: readonly TestInstance[], pki?: TestPki, bucket?: TestBucket) {
    this.folder = folder;
    this.instances = instances;
    this.pki = pki;
    this.bucket = bucket;
  }

  /** The instance at a position, counted from 0 and wrapping around. */
  at(position: number): TestInstance {
    const instance = this.instances[position % this.instances.length];
    assert(instance);
    return instance;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.instances.map((instance) => instance[Symbol.asyncDispose]()));
    rmSync(this.folder, { recursive: true, force: true });
  }
}

/** Instances `callfs-1`, `callfs-2`, … that know each other through the store. */
export async function startCluster({
  instances: count = 3,
  config = {},
  keepLog = true,
  tls = TLS_BY_DEFAULT ? 'server' : undefined,
}: ClusterOptions = {}): Promise<TestCluster> {
  const folder = mkdtempSync(join(tmpdir(), 'callfs-test-'));
  await prepareStore(folder);
  const bucket = await prepareBucket();
  const pki = tls ? await TestPki.create(join(folder, 'pki')) : undefined;
  const ids = Array.from({ length: count }, (_, index) => `callfs-${index + 1}`);
  const secure = new Map(
    await Promise.all(ids.map(async (id) => [id, tls && pki ? await pki.sectionsOf(id, tls) : {}] as const)),
  );
  const instances = ids.map((id) => {
    const plain = mergeSections(defaultConfig(id, folder), sectionsOf(bucket, id));
    const base = mergeSections(plain, secure.get(id) ?? {});
    const instance = new TestInstance(id, folder, mergeSections(base, config));
    instance.keepLog = keepLog;
    return instance;
  });
  const cluster = new TestCluster(folder, instances, pki, bucket);
  try {
    await Promise.all(instances.map((instance) => instance.start()));
  } catch (error) {
    await cluster[Symbol.asyncDispose]();
    throw error;
  }
  return cluster;
}

export function defaultConfig(id: string, folder: string): Record<string, object> {
  return {
    server: { listen_addr: '127.0.0.1:0' },
    auth: {
      api_key_users: { alice: ALICE_KEY, bob: BOB_KEY, admin: ADMIN_KEY },
      users: { alice: { groups: ['staff'] }, bob: { groups: ['staff'] }, admin: { admin: true } },
      internal_proxy_secret: INTERNAL_SECRET,
    },
    instance_discovery: { instance_id: id },
    backend: { localfs_root_path: join(folder, `data-${id}`) },
    metadata_store: storeConfig(folder),
  };
}

export function mergeSections(
  base: Readonly<Record<string, object>>,
  over: Readonly<Record<string, object>>,
): Record<string, object> {
  const merged: Record<string, object> = { ...base };
  for (const [section, values] of Object.entries(over)) {
    merged[section] = Array.isArray(values) ? values : { ...merged[section], ...values };
  }
  return merged;
}
