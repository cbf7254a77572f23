/**
 * A real S3 server on this host, to try things with: Ceph's object gateway with a monitor and one store in memory. It ends with
 * the process that started it, however that ends, and leaves nothing.
 */
import { type ChildProcessByStdio, execFile, spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Writable } from 'node:stream';
import { setTimeout as delay } from 'node:timers/promises';
import { promisify } from 'node:util';
import { cephConfig } from './radosgw-config.ts';

/** What it needs of the system. */
export const RADOSGW_PROGRAMS = ['radosgw', 'ceph-mon', 'ceph-osd', 'ceph'] as const;
/** The packages of Debian that have them. */
export const RADOSGW_PACKAGES = ['radosgw', 'ceph-mon', 'ceph-osd', 'ceph-common'] as const;

const STEP_WITHIN_MS = 30_000;
const LOOK_EVERY_MS = 20;
const SHOWN_CHARACTERS = 1500;

/**
 * A shell that outlives the process at the other end of its input, by as long as it takes to clean up. Lines `run COMMAND` start
 * something in the background. When the input ends it waits for the processes of `await ID`, at most 20 s, ends what it
 * started and removes the folders that are its arguments.
 */
const GUARD = `
while read -r what rest; do
  case $what in
    run) eval "$rest" & started="$started $!" ;;
    await) awaited="$awaited $rest" ;;
  esac
done
for id in $awaited; do
  while [ -e "/proc/$id/exe" ] && [ "\${looks:=0}" -lt 200 ]; do sleep 0.1; looks=$((looks + 1)); done
done
[ -z "$started" ] || kill -KILL $started
wait
rm -rf -- "$@"`;

const run = promisify(execFile);

export interface RadosgwOptions {
  /** Two that are free, of 127.0.0.1. */
  readonly monitorPort: number;
  readonly gatewayPort: number;
  readonly accessKey: string;
  readonly secretKey: string;
  /** A folder that is removed with its own when it ends. */
  readonly alsoRemoved?: string;
}

export class Radosgw implements AsyncDisposable {
  readonly endpoint: string;
  readonly #options: RadosgwOptions;
  readonly #folder = mkdtempSync(join(tmpdir(), 'callfs-radosgw-'));
  readonly #config = join(this.#folder, 'ceph.conf');
  readonly #guard: ChildProcessByStdio<Writable, null, null>;
  readonly #id = randomUUID();
  readonly #stopped = new AbortController();

  constructor(options: RadosgwOptions) {
    this.#options = options;
    const { monitorPort, gatewayPort, alsoRemoved } = options;
    this.endpoint = `http://127.0.0.1:${gatewayPort}`;
    for (const name of ['mon', 'osd']) mkdirSync(join(this.#folder, name));
    writeFileSync(join(this.#folder, 'keyring'), '');
    writeFileSync(this.#config, cephConfig({ folder: this.#folder, id: this.#id, monitorPort, gatewayPort }));
    const removed = [this.#folder, ...(alsoRemoved === undefined ? [] : [alsoRemoved])];
    // A session of its own: Ctrl-C in the terminal would end it before it has ended the others.
    this.#guard = spawn('sh', ['-c', GUARD, 'sh', ...removed], {
      cwd: '/',
      stdio: ['pipe', 'ignore', 'ignore'],
      detached: true,
    });
    this.#guard.stdin.on('error', () => {});
  }

  /** Resolves when it answers; about 1.5 s. Rejects with what its programs said when one of them does not come up. */
  async start(): Promise<void> {
    try {
      await this.#startAll();
    } catch (error) {
      if (this.#stopped.signal.aborted) throw error;
      throw new Error(
        `radosgw does not come up: ${error instanceof Error ? error.message : error}\n${this.#outputs()}`,
      );
    }
  }

  async #startAll(): Promise<void> {
    const { monitorPort, accessKey, secretKey } = this.#options;
    // Without a map of its own the monitor would take its well-known port.
    const map = join(this.#folder, 'monmap');
    const address = `[v2:127.0.0.1:${monitorPort}]`;
    await this.#run('monmaptool', '--create', '--addv', 'a', address, '--fsid', this.#id, map);
    await this.#runWithConfig('ceph-mon', '--mkfs', '--id', 'a', '--monmap', map);
    this.#background('ceph-mon', '--id', 'a');
    const osd = randomUUID();
    await this.#runWithConfig('ceph', '--connect-timeout', '20', 'osd', 'new', osd);
    await this.#runWithConfig('ceph-osd', '--mkfs', '--id', '0', '--osd-uuid', osd);
    this.#background('ceph-osd', '--id', '0');
    const keys = ['--access-key', accessKey, '--secret-key', secretKey];
    await this.#runWithConfig(
      'radosgw-admin',
      'user',
      'create',
      '--uid',
      'callfs',
      '--display-name',
      'callfs',
      ...keys,
    );
    // Not while the other one makes the pools: each would wait for the other for 5 s.
    this.#background('radosgw', '--name', 'client.gateway');
    await this.#firstAnswer();
  }

  #runWithConfig(program: string, ...args: readonly string[]): Promise<void> {
    return this.#run(program, '--conf', this.#config, ...args);
  }

  async #run(program: string, ...args: readonly string[]): Promise<void> {
    await run(program, args, { timeout: STEP_WITHIN_MS, signal: this.#stopped.signal });
  }

  #background(program: string, ...args: readonly string[]): void {
    const command = [program, '--conf', this.#config, '-f', ...args].map((word) => `'${word}'`).join(' ');
    this.#guard.stdin.write(`run exec ${command} >'${join(this.#folder, program)}.out' 2>&1\n`);
  }

  async #firstAnswer(): Promise<void> {
    const { signal } = this.#stopped;
    const giveUpAt = performance.now() + STEP_WITHIN_MS;
    while (!(await answers(this.endpoint))) {
      if (performance.now() > giveUpAt) throw new Error(`It gives no answer within ${STEP_WITHIN_MS} ms.`);
      await delay(LOOK_EVERY_MS, undefined, { signal });
    }
  }

  /** When this process ends, the server stays until that one has ended, too, and so do the folders. */
  outlive(processId: number): void {
    this.#guard.stdin.write(`await ${processId}\n`);
  }

  /** The ends of what its programs printed. */
  #outputs(): string {
    const files = readdirSync(this.#folder).filter((name) => name.endsWith('.out'));
    const text = (name: string): string => readFileSync(join(this.#folder, name), 'utf8').slice(-SHOWN_CHARACTERS);
    return files.map((name) => `${name}:\n${text(name)}`).join('\n');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopped.abort();
    if (this.#guard.exitCode !== null || this.#guard.signalCode !== null) return;
    const exited = once(this.#guard, 'exit');
    this.#guard.stdin.end();
    await exited;
  }
}

async function answers(endpoint: string): Promise<boolean> {
  try {
    const answer = await fetch(endpoint);
    await answer.arrayBuffer();
    return answer.ok;
  } catch {
    // Nothing listens yet.
    return false;
  }
}
