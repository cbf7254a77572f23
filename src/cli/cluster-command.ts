/** `callfs cluster status`: what the running instance sees of the whole cluster. */
import type { Command } from 'commander';
import { tlsProblem } from '../cluster/tls-problem.ts';
import type { Config } from '../config/config.ts';
import { loadConfig } from '../config/load.ts';
import { systemErrorCode } from '../core/errors.ts';
import { adminKey } from './admin-key.ts';
import type { ClusterAnswer } from './cluster-report.ts';
import { type InstanceAnswer, InstanceClient } from './instance-client.ts';
import { ownTrust } from './instance-trust.ts';
import { findLocalUrl } from './local-url.ts';

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
  const signal = AbortSignal.timeout(ANSWER_WITHIN_MS);
  using client = new InstanceClient({ key: adminKey(config), trust: await ownTrust(config), signal });
  const status = await askForStatus(client, localUrl(config));
  const { clusterText } = await import('./cluster-report.ts');
  process.stdout.write(json ? `${JSON.stringify(status, null, 2)}\n` : clusterText(status));
}

function localUrl(config: Config): string {
  const url = findLocalUrl(config);
  if (url !== undefined) return url;
  throw new Error('server.listen_addr has port 0, so only the log of the instance says where it listens.');
}

async function askForStatus(client: InstanceClient, url: string): Promise<ClusterAnswer> {
  const { status, body } = await ask(client, url);
  if (status === 200 && isStatus(body)) return body;
  if (status === 401 || status === 403) {
    throw new Error(`The instance at ${url} does not accept the key: it was started with another configuration.`);
  }
  if (typeof body.code !== 'string') throw new Error(`What answers at ${url} is not a CallFS instance.`);
  const message = typeof body.message === 'string' ? body.message : `it answers ${status}`;
  throw new Error(`The instance at ${url} cannot tell: ${body.code}: ${message}`);
}

async function ask(client: InstanceClient, url: string): Promise<InstanceAnswer> {
  try {
    const request = { method: 'GET', endpoint: url, target: '/v1/cluster' };
    return await client.ask({ ...request, timeoutMs: ANSWER_WITHIN_MS });
  } catch (error) {
    // It answered with something else than JSON.
    if (error instanceof SyntaxError) return { status: 0, body: {} };
    throw new Error(`No instance answers at ${url} (${reasonOf(error)}); does it run?`, { cause: error });
  }
}

function reasonOf(error: unknown): string {
  const code = systemErrorCode(error) ?? '';
  if (code === 'ABORT_ERR') return `not within ${ANSWER_WITHIN_MS / 1000} s`;
  return tlsProblem(code) ?? (code || (error instanceof Error ? error.message : String(error)));
}

function isStatus(body: object): body is ClusterAnswer {
  return 'instances' in body && Array.isArray(body.instances);
}
