/** What the demo tells its user. */
import { basename, dirname, join } from 'node:path';
import { bucketTable, bucketTour } from './demo-bucket-report.ts';
import type { DemoInstance } from './demo-instance.ts';
import { DEMO_USERS, type DemoKeys } from './demo-keys.ts';
import { CALLFS, type InstancePlan } from './demo-plan.ts';
import type { PortChoice } from './demo-ports.ts';
import { counted, curlLine, quoted, steps, table } from './demo-text.ts';

const MAX_LINE = 300;

export interface ClusterFacts {
  readonly plans: readonly InstancePlan[];
  readonly keys: DemoKeys;
  /** A path at which nothing exists yet, such as `/demo/hello.txt`. */
  readonly newFile: string;
}

export function clusterReport({ plans, keys, newFile }: ClusterFacts): string {
  const instances = plans.map(({ id, url, dataRoot, logFile }) => [id, url, basename(dataRoot), basename(logFile)]);
  const users = DEMO_USERS.map((user) => [user, keys[user], user === 'admin' ? 'may do everything' : '']);
  const directory = dirname(at(plans, 0).dataRoot);
  const inBucket = plans.find(({ bucket }) => bucket !== undefined);
  const tables = [
    table([['INSTANCE', 'URL', 'FILES', 'LOG'], ...instances]),
    ...(inBucket?.bucket ? [bucketTable(inBucket.bucket)] : []),
    table([['USER', 'KEY'], ...users]),
  ];
  return `CallFS runs: ${counted(plans.length, 'instance')}, one namespace. Everything lies in
${directory}

${tables.join('\n\n')}

Try it:

${
  inBucket?.bucket
    ? bucketTour({ onDisk: at(plans, 0), inBucket, bucket: inBucket.bucket, key: keys.alice, newFile })
    : tour(plans, keys.alice, newFile)
}
Ctrl-C stops all instances${inBucket ? ' and the S3 server' : ''}. ${
    inBucket
      ? 'Nothing is kept: the bucket is in memory, and the folder is removed.'
      : 'Files and keys stay in the folder for the next start.'
  }
`;
}

/** Five steps that show the idea. */
function tour(plans: readonly InstancePlan[], key: string, file: string): string {
  const [first, second, third] = [at(plans, 0), at(plans, 1), at(plans, 2)];
  const target = `/v1/files${file}`;
  return steps([
    {
      what: `Create a file at ${first.id}.`,
      line: curlLine(key, '-X POST --data "content" ', first.url + target),
    },
    {
      what: `Create it at ${second.id} too: a conflict (409) that says where it is.`,
      line: curlLine(key, '-X POST --data "different content" ', second.url + target),
    },
    {
      what: `Update it through ${second.id}: the file stays where it is.`,
      line: curlLine(key, '-X PUT --data "updated content" ', second.url + target),
    },
    { what: `Read it through ${third.id}.`, line: curlLine(key, '', third.url + target) },
    {
      what: `List its folder through ${third.id}.`,
      line: curlLine(key, '', `${third.url}/v1/directories${dirname(file)}`),
    },
    {
      what: `And on disk: a plain file in the folder of ${first.id}.`,
      line: `cat ${quoted(join(first.dataRoot, file))}`,
    },
  ]);
}

export function portNote(first: number, { ports, taken }: PortChoice): string {
  if (taken.length === 0) return '';
  return `Port ${taken.join(', ')} is in use by something else: the instances from ${first} on get ${ports.join(', ')}.\n\n`;
}

/** @param left how many instances still run */
export function endReport(instance: DemoInstance, how: string, left: number): string {
  const { plan } = instance;
  const rest = left === 0 ? '' : ` ${left === 1 ? 'The other one keeps' : `The other ${left} keep`} running.`;
  return `
${plan.id} has ended (${how}).${rest}
  last line  ${shortened(instance.lastLine())}
  whole log  ${plan.logFile}
To run it again, in another terminal where it is yours to stop:
  ${restartCommand(plan)}
`;
}

function shortened(line: string): string {
  return line.length > MAX_LINE ? `${line.slice(0, MAX_LINE)}…` : line;
}

export function restartCommand({ configFile }: InstancePlan): string {
  return `${quoted(CALLFS)} server --config ${quoted(configFile)}`;
}

/** Data folders of an earlier run with more instances: their files are listed but cannot be reached. */
export function missingInstancesNote(dataFolders: number, running: number): string {
  if (dataFolders <= running) return '';
  return `The last run had more instances; files of the others can be reached again with --instances ${dataFolders}.\n\n`;
}

/** The plan at a position; a cluster with fewer instances takes turns. */
function at(plans: readonly InstancePlan[], position: number): InstancePlan {
  const plan = plans[position % plans.length];
  if (plan === undefined) throw new Error('A demo needs at least one instance.');
  return plan;
}
