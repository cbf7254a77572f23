/** `callfs demo`: a cluster on this host to try things with. */
import { once } from 'node:events';
import { readdir } from 'node:fs/promises';
import { resolve } from 'node:path';
import { type Command, InvalidArgumentError, Option } from 'commander';
import { assertServerInstalled, BUCKET_PORTS, BucketServer } from './demo-bucket.ts';
import { writeConfig } from './demo-config.ts';
import { enterDemoDirectory } from './demo-directory.ts';
import { DemoInstance } from './demo-instance.ts';
import { type DemoKeys, openKeys } from './demo-keys.ts';
import { INSTANCES_WITH_BUCKET, type InstancePlan, planInstances } from './demo-plan.ts';
import { findFreePorts } from './demo-ports.ts';
import { clusterReport, endReport, missingInstancesNote, portNote } from './demo-report.ts';
import { counted } from './demo-text.ts';
import { stopRequest } from './stop-signal.ts';
import { addStopWithParent } from './stop-with-parent.ts';

interface DemoOptions {
  readonly instances: number;
  readonly dir?: string;
  readonly port: number;
  readonly s3?: boolean;
}

const DIRECTORY = './.callfs-demo';
const DIRECTORY_WITH_BUCKET = './.callfs-demo-s3';

const EXAMPLES = `
Examples:
  callfs demo                                 three instances, on the ports 8443, 8444 and 8445
  callfs demo --instances 5 --dir /tmp/five   five, with their files elsewhere
  callfs demo --port 9000                     on the ports 9000, 9001 and 9002
  callfs demo --s3                            two: one with its files on its disk, one with its files in a bucket

The folder gets one configuration file, data folder and log for each instance, and the keys, which are made at the first
start. Ports that are in use are passed over. To see what happens when an instance is lost, kill it: the others keep
running, and the demo shows the command that runs it again. Ctrl-C stops all of them.

With --s3 a real S3 server runs, too, on the next free ports: Ceph's object gateway, which has to be installed (Debian:
radosgw ceph-mon ceph-osd ceph-common). Its bucket is in memory, so nothing is kept: the folder, which must be new or
empty, is removed in the end.`;

/** To be called after the server command was added: the demo runs that command. */
export function addDemoCommand(program: Command): void {
  const server = program.commands.find((command) => command.name() === 'server');
  if (server !== undefined) addStopWithParent(server);
  program
    .command('demo')
    .description('run a cluster on this host to try things with')
    .option('-n, --instances <number>', 'how many instances', wholeNumber(1, 64), 3)
    .option(
      '-d, --dir <folder>',
      `where everything lies (default: "${DIRECTORY}", with --s3 "${DIRECTORY_WITH_BUCKET}")`,
    )
    .option(
      '-p, --port <port>',
      'port of the first instance; the others get the next ones',
      wholeNumber(1, 65_535),
      8443,
    )
    .addOption(new Option('--s3', 'with a bucket, on an S3 server of its own').conflicts('instances'))
    .addHelpText('after', EXAMPLES)
    .action((options: DemoOptions) => runDemo(options));
}

function wholeNumber(least: number, most: number): (text: string) => number {
  return (text) => {
    const number = Number(text);
    if (/^\d+$/.test(text) && number >= least && number <= most) return number;
    throw new InvalidArgumentError(`It must be a whole number from ${least} to ${most}.`);
  };
}

async function runDemo({ instances: wanted, dir, port, s3 = false }: DemoOptions): Promise<void> {
  const stop = stopRequest();
  const directory = resolve(dir ?? (s3 ? DIRECTORY_WITH_BUCKET : DIRECTORY));
  const count = s3 ? INSTANCES_WITH_BUCKET : wanted;
  if (s3) await assertServerInstalled();
  await using resources = new AsyncDisposableStack();
  const choice = await findFreePorts(port, count + (s3 ? BUCKET_PORTS : 0));
  const ports = choice.ports.slice(0, count);
  resources.use(await enterDemoDirectory(directory, s3));
  // From here on it removes the folder.
  const server = s3 ? resources.use(new BucketServer(choice.ports.slice(count), directory)) : undefined;
  const keys = await openKeys(directory);
  const notes = portNote(port, { ...choice, ports }) + missingInstancesNote(await countDataFolders(directory), count);
  print(`${notes}Starting ${server ? 'an S3 server and ' : ''}${counted(count, 'instance')} …\n\n`);
  const plans = planInstances(directory, ports, server?.bucket);
  for (const plan of plans) await writeConfig(plan, keys);
  const instances: DemoInstance[] = [];
  resources.defer(() => stopAll(instances));
  const start = async (): Promise<void> => {
    await server?.start();
    stop.throwIfAborted();
    instances.push(...plans.map((plan) => new DemoInstance(plan)));
    for (const { processId } of instances) if (processId !== undefined) server?.outlive(processId);
  };
  await Promise.race([aborted(stop), start().then(() => runCluster(instances, keys, stop))]);
  print('\nStopping …\n');
}

async function aborted(signal: AbortSignal): Promise<void> {
  if (!signal.aborted) await once(signal, 'abort');
}

async function countDataFolders(directory: string): Promise<number> {
  const numbers = (await readdir(directory)).map((name) => Number(/^data-(\d+)$/.exec(name)?.[1] ?? 0));
  return Math.max(0, ...numbers);
}

/** Never resolves: rejects when an instance does not start or none is left. */
async function runCluster(instances: readonly DemoInstance[], keys: DemoKeys, stop: AbortSignal): Promise<never> {
  await Promise.all(instances.map((instance) => instance.ready()));
  const plans = instances.map(({ plan }) => plan);
  print(clusterReport({ plans, keys, newFile: await findNewFile(plans, keys) }));
  let left = instances.length;
  const watch = async (instance: DemoInstance): Promise<void> => {
    const how = await instance.ended;
    left -= 1;
    if (!stop.aborted) print(endReport(instance, how, left));
  };
  await Promise.all(instances.map(watch));
  throw new Error('no instance is left.');
}

/** A path that is free, so that the first step of the tour creates it, also at later starts. */
async function findNewFile(plans: readonly InstancePlan[], keys: DemoKeys): Promise<string> {
  for (let number = 1; ; number += 1) {
    const path = `/demo/hello${number === 1 ? '' : `-${number}`}.txt`;
    const headers = { authorization: `Bearer ${keys.alice}` };
    const answer = await fetch(`${plans[0]?.url}/v1/files${path}`, { method: 'HEAD', headers });
    if (answer.status === 404) return path;
  }
}

async function stopAll(instances: readonly DemoInstance[]): Promise<void> {
  await Promise.all(instances.map((instance) => instance[Symbol.asyncDispose]()));
}

function print(text: string): void {
  process.stdout.write(text);
}
