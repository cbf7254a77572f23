/** `callfs node …`: what an instance holds, and how it leaves the cluster. */
import { once } from 'node:events';
import { type Command, InvalidArgumentError } from 'commander';
import { isAlive } from '../cluster/membership.ts';
import { processIdentity } from '../cluster/process-identity.ts';
import { drainInstance } from '../engine/drain-instance.ts';
import { filesOf } from '../engine/files-of.ts';
import { forgetInstance } from '../engine/forget-instance.ts';
import { reportInstance, unknownInstance } from '../engine/report-instance.ts';
import { openNamespace } from './open-namespace.ts';
import { stopRequest } from './stop-signal.ts';
import { parseCount, parseParallel, parseRate } from './transfer-options.ts';

interface NodeOptions {
  readonly config?: string;
  readonly json?: boolean;
}

interface DrainOptions extends NodeOptions {
  readonly to?: readonly string[];
  readonly rate?: number;
  readonly parallel: number;
}

interface RemoveOptions extends NodeOptions {
  readonly force?: boolean;
  readonly forgetFiles?: number;
}

interface ReportOptions extends NodeOptions {
  readonly files?: boolean;
}

const FILES_REMAIN = 3;
const DEFAULT_PARALLEL = 4;

const DRAIN_EXAMPLES = `
Examples:
  callfs node drain callfs-3 -c /etc/callfs/config.yaml
  callfs node drain callfs-3 --to callfs-1,callfs-2 --rate 50MB/s --parallel 8
  callfs node undrain callfs-3                      take it back: the instance takes new files again

Everything stays readable and writable meanwhile. From about a second after the start the instance takes no new files:
those that clients create there go to another instance. Works with the configuration of any instance, on any host from
which the metadata store and the instances are reached, with the key of a user who has admin: true. The instance must run;
what it holds when its disk is lost is told by "callfs node report".

May be stopped (Ctrl-C, kill) and run again at any time; it goes on with what is left. The rate holds on average: one
file is copied as fast as it goes.

Exit codes: 0 the instance holds nothing more; 3 it was stopped or given up, files remain; 1 it could not begin.`;

const REMOVE_EXAMPLES = `
Examples:
  callfs node remove callfs-3                       after "callfs node drain callfs-3", and after it was stopped
  callfs node remove callfs-3 --force --forget-files 1204

Refused while the instance runs, and while it holds files. When its disk is lost for good, --force --forget-files with
the exact number of its files removes their entries and lists them. See docs/operations.md, "Losing a node".`;

const REPORT_EXAMPLES = `
Examples:
  callfs node report callfs-3                       how much it holds, by the directories at the top
  callfs node report callfs-3 --files               every path, one a line
  callfs node report callfs-3 --files --json        one JSON object a line, with size and checksum

Asks only the metadata store, so the instance may run, be down or be lost.`;

export function addNodeCommand(program: Command): void {
  const node = program.command('node').description('take an instance out of the cluster, or see what it holds');
  addCommand(node, 'drain', 'move everything an instance holds to others while all of them serve')
    .option('--to <ids>', 'only to these instances, separated by commas; default: any other that runs', parseIds)
    .option('--rate <bytes/s>', 'at most so much on average, for example 50MB/s', parseRate)
    .option('--parallel <number>', 'files at the same time', parseParallel, DEFAULT_PARALLEL)
    .option('--json', 'print one JSON object')
    .addHelpText('after', DRAIN_EXAMPLES)
    .action((id: string, options: DrainOptions) => drain(id, options));
  addCommand(node, 'undrain', 'let an instance take new files again').action((id: string, options: NodeOptions) =>
    undrain(id, options),
  );
  addCommand(node, 'remove', 'forget an instance that was drained, or lost')
    .option('--force', 'also when it holds files, whose number must be given')
    .option('--forget-files <number>', 'with --force: give up exactly so many files', parseCount)
    .option('--json', 'print one JSON object')
    .addHelpText('after', REMOVE_EXAMPLES)
    .action((id: string, options: RemoveOptions) => remove(id, options));
  addCommand(node, 'report', 'tell what an instance holds, also when it is lost')
    .option('--files', 'print every path')
    .option('--json', 'print one JSON object, or with --files one a line')
    .addHelpText('after', REPORT_EXAMPLES)
    .action((id: string, options: ReportOptions) => report(id, options));
}

function addCommand(node: Command, name: string, description: string): Command {
  return node
    .command(name)
    .description(description)
    .argument('<id>', 'instance_discovery.instance_id of the instance')
    .option(
      '-c, --config <file>',
      'YAML or JSON of any instance; default: config.yaml, config.yml or config.json here, if there is one',
    );
}

function parseIds(text: string): readonly string[] {
  const ids = text.split(',').map((id) => id.trim());
  if (ids.some((id) => id === '')) throw new InvalidArgumentError('It must be ids separated by commas.');
  return ids;
}

async function drain(instanceId: string, options: DrainOptions): Promise<void> {
  const { json = false, to, rate: bytesPerSecond, parallel } = options;
  const signal = stopRequest();
  await using opened = await openNamespace(options.config);
  // Here, so that a server need not load what only this command works with.
  const [{ DrainCluster }, { MoveProgressBar }, { drainJson, drainText, isDrained }] = await Promise.all([
    import('./drain-cluster.ts'),
    import('./move-progress-bar.ts'),
    import('./drain-report.ts'),
  ]);
  using cluster = await DrainCluster.open({ ...opened, instanceId, to, signal });
  const run = async () => {
    using bar = await MoveProgressBar.open(`draining ${instanceId}`);
    const request = { instanceId, parallel, bytesPerSecond, signal };
    return await drainInstance(cluster, { ...request, onProgress: (progress) => bar.show(progress) });
  };
  const report = await run();
  process.stdout.write(json ? drainJson(report) : drainText(report));
  if (!isDrained(report)) process.exitCode = FILES_REMAIN;
}

async function undrain(instanceId: string, options: NodeOptions): Promise<void> {
  await using opened = await openNamespace(options.config);
  const { store } = opened;
  if (!(await store.setDraining({ instanceId, draining: false }))) throw await unknownInstance(store, instanceId);
  process.stdout.write(`${instanceId} takes new files again. What was moved stays where it is.\n`);
}

async function remove(instanceId: string, { force, forgetFiles, ...options }: RemoveOptions): Promise<void> {
  if (force !== (forgetFiles !== undefined || undefined)) {
    throw new Error('--force and --forget-files need each other: to give files up, say how many.');
  }
  await using opened = await openNamespace(options.config);
  const { store } = opened;
  const clock = { now: () => Date.now() };
  const liveness = { store, instanceId, clock, process: processIdentity() };
  const context = { store, isAlive: (record: Parameters<typeof isAlive>[1]) => isAlive(liveness, record) };
  const forgotten = await forgetInstance(context, { instanceId, lostFiles: forgetFiles ?? 0 });
  const { removalJson, removalText } = await import('./node-report.ts');
  const text = options.json ? removalJson : removalText;
  process.stdout.write(text(instanceId, forgotten));
}

async function report(instanceId: string, options: ReportOptions): Promise<void> {
  const { json = false } = options;
  await using opened = await openNamespace(options.config);
  const { store } = opened;
  const { fileLine, reportJson, reportText } = await import('./node-report.ts');
  if (!options.files) {
    const found = await reportInstance(store, instanceId);
    process.stdout.write(json ? reportJson(found) : reportText(found));
    return;
  }
  let count = 0;
  for await (const file of filesOf(store, instanceId)) {
    count += 1;
    if (!process.stdout.write(fileLine(file, json))) await once(process.stdout, 'drain');
  }
  if (count === 0 && !(await store.findInstance(instanceId))) throw await unknownInstance(store, instanceId);
}
