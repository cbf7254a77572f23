/** `callfs cluster status`: what the running instance sees of the whole cluster. */
import type { Command } from 'commander';
import type { Config } from '../config/config.ts';
import { parseListenAddress } from '../config/listen-address.ts';
import { loadConfig } from '../config/load.ts';
import { systemErrorCode } from '../core/errors.ts';
import { adminKey } from './admin-key.ts';
import type { ClusterAnswer } from './cluster-report.ts';

interface StatusOptions {
  readonly config?: string;
  readonly json?: boolean;
}

const EXAMPLES = `
Examples:
  callfs cluster status -c /etc/callfs/config.yaml
  callfs cluster status --json | jq -r '.instances[] | select(.state != "up").id'

Asks the instance of the configuration, which must run on this host, at its server.listen_addr, with the key of a user
who has admin: true. States: up, down (does not answer that instance), stopped (ended cleanly), unknown (only entries
name it). docs/operations.md says more.`;

/** The instance looks at peers before it answers, and may have to count the files of a large namespace. */
const ANSWER_WITHIN_MS = 60_000;

export function addClusterCommand(program: Command): void {
  const cluster = program.command('cluster').description('look at the cluster');
  cluster
    .command('status')
    .description('list all instances, which of them are up, and what they hold')
    .option(
      '-c, --config <file>',
      'YAML or JSON of the instance; default: config.yaml, config.yml or config.json here, if there is one',
    )
    .option('--json', 'print what GET /v1/cluster answers')
    .addHelpText('after', EXAMPLES)
    .action((options: StatusOptions) => showStatus(options));
}

async function showStatus({ config: file, json = false }: StatusOptions): Promise<void> {
  const { config } = loadConfig(file === undefined ? {} : { file });
  const status = await askForStatus(localUrl(config), adminKey(config));
  const { clusterText } = await import('./cluster-report.ts');
  process.stdout.write(json ? `${JSON.stringify(status, null, 2)}\n` : clusterText(status));
}

/** Where the instance is reached from its own host. */
function localUrl({ server }: Config): string {
  const { host, port } = parseListenAddress(server.listen_addr);
  if (port === 0) {
    throw new Error('server.listen_addr has port 0, so only the log of the instance says where it listens.');
  }
  if (host === undefined || host === '0.0.0.0') return `http://127.0.0.1:${port}`;
  if (host === '::') return `http://[::1]:${port}`;
  return `http://${host.includes(':') ? `[${host}]` : host}:${port}`;
}

async function askForStatus(url: string, key: string): Promise<ClusterAnswer> {
  const answer = await ask(`${url}/v1/cluster`, key);
  const body = await bodyOf(answer);
  if (answer.status === 200 && isStatus(body)) return body;
  if (answer.status === 401 || answer.status === 403) {
    throw new Error(`The instance at ${url} does not accept the key: it was started with another configuration.`);
  }
  const message = typeof body?.message === 'string' ? body.message : `it answers ${answer.status}`;
  if (typeof body?.code === 'string') throw new Error(`The instance at ${url} cannot tell: ${body.code}: ${message}`);
  throw new Error(`What answers at ${url} is not a CallFS instance.`);
}

async function ask(target: string, key: string): Promise<Response> {
  try {
    const headers = { authorization: `Bearer ${key}` };
    return await fetch(target, { headers, redirect: 'error', signal: AbortSignal.timeout(ANSWER_WITHIN_MS) });
  } catch (error) {
    throw new Error(`No instance answers at ${new URL(target).origin} (${reasonOf(error)}); does it run?`, {
      cause: error,
    });
  }
}

/** What lies below the general words of `fetch`. */
function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  if (error.name === 'TimeoutError') return `not within ${ANSWER_WITHIN_MS / 1000} s`;
  return systemErrorCode(error.cause) ?? (error.cause instanceof Error ? error.cause.message : error.message);
}

/** The body as a JSON object; undefined when it is something else. */
async function bodyOf(answer: Response): Promise<Readonly<Record<string, unknown>> | undefined> {
  try {
    const body: unknown = await answer.json();
    return typeof body === 'object' && body !== null ? (body as Record<string, unknown>) : undefined;
  } catch {
    return undefined;
  }
}

function isStatus(body: unknown): body is ClusterAnswer {
  return typeof body === 'object' && body !== null && 'instances' in body && Array.isArray(body.instances);
}
