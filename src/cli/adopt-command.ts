/** `callfs adopt`: files that exist already enter the namespace. */
import { resolve } from 'node:path';
import { type Command, InvalidArgumentError, Option } from 'commander';
import { openAdoption } from '../compose/offline.ts';
import { type BucketAdoption, openBucketAdoption } from '../compose/offline-bucket.ts';
import type { Config } from '../config/config.ts';
import { parseDuration } from '../config/duration.ts';
import { loadConfig } from '../config/load.ts';
import { parseGroupName } from '../config/names.ts';
import type { BackendType } from '../core/entry.ts';
import type { User } from '../core/permissions.ts';
import { ROOT_PATH, toVirtualPath, type VirtualPath } from '../core/virtual-path.ts';
import { type AdoptTreeRequest, adoptTree } from '../engine/adopt-tree.ts';
import type { AdoptTreeReport } from '../engine/adopt-tree-report.ts';
import { AdoptProgress } from './adopt-progress.ts';
import { adoptJson, adoptSummary, needsAttention } from './adopt-report.ts';

interface AdoptOptions {
  readonly config?: string;
  readonly backend: BackendType;
  readonly owner: string;
  readonly group?: string;
  readonly into?: VirtualPath;
  readonly copy?: true;
  readonly dryRun?: true;
  readonly json?: true;
  readonly watch?: true;
  readonly removeMissing?: true;
  readonly grace?: number;
  readonly rescan?: number;
}

const EXIT_REPORTED = 3;
const DEFAULT_GRACE_MS = 10_000;
const DEFAULT_RESCAN_MS = 600_000;

const EXAMPLES = `
Without DIR: every file under the instance's data root that the namespace does not know, where it is.
With DIR: the files of that folder. On the filesystem of the data root each gets a second name there (a hard link), so
nothing is copied and the folder keeps its files; from another filesystem, and with --copy, they are copied.
With --backend s3: the objects of the instance's bucket that the namespace does not know, where they are, each as the
file that its key names, below backend.s3_prefix. DIR, if there is one, is what their keys begin with.

Examples:
  callfs adopt -c node1.yaml --dry-run             what would be adopted; changes nothing
  callfs adopt -c node1.yaml --owner alice         what lies in the data root, for alice
  callfs adopt /srv/photos -c node1.yaml --into /photos --owner alice --group staff
  callfs adopt /mnt/usb -c node1.yaml --copy --json
  callfs adopt -c node1.yaml --owner alice --watch     and go on with what comes, until it is stopped
  callfs adopt --backend s3 -c node1.yaml --dry-run    what lies in the bucket
  callfs adopt photos/2024/ --backend s3 -c node1.yaml --owner alice

The instance may run or not. Times and permission bits are those of the files; empty folders come along. Nothing is
overwritten: a path that the namespace has for something else is reported, and both files stay. Names that the namespace
cannot have, symbolic links, special files and files that change meanwhile are reported and left alone. Each object of a
bucket is read once, for its checksums; it keeps its content type, and its time becomes the file's. Running it again
adopts what is new. Exit code: 0 done, 3 done but something was reported, 1 it could not run.

With --watch it goes on: new files, also whole folders moved in, are adopted when nobody has written to them for a
second, and files of the namespace that are changed on disk become new versions at once. A file that is deleted or moved
on disk is reported and its entry stays; with --remove-missing the entry goes, too, if the file is still missing after
--grace. SIGINT and SIGTERM end it, with a summary and exit code 0.
docs/operations.md says more.`;

export function addAdoptCommand(program: Command): void {
  program
    .command('adopt')
    .description('let files that exist already enter the namespace')
    .argument('[dir]', 'a folder outside the data root; default: the data root itself')
    .addOption(new Option('--backend <type>', 'where the files lie').choices(['localfs', 's3']).default('localfs'))
    .option(
      '-c, --config <file>',
      'YAML or JSON of the instance; default: config.yaml, config.yml or config.json here, if there is one',
    )
    .option('--owner <name>', 'user who owns what is adopted', parseName, 'root')
    .option('--group <name>', 'its group (default: the name of the owner)', parseName)
    .option('--into <path>', 'directory of the namespace that DIR becomes (default: /)', parseInto)
    .option('--copy', 'copy the files of DIR instead of giving them a second name')
    .option('--dry-run', 'only say what would be adopted')
    .option(
      '--json',
      'report as JSON: adopted, directories, skipped, conflicts, refused; with --watch one event a line',
    )
    .option('--watch', 'go on with what happens to the files, beside the instance, until stopped')
    .option('--remove-missing', 'with --watch: remove entries whose files were deleted on disk')
    .option('--grace <time>', 'with --remove-missing: how long a file must be missing (default: 10s)', parseTime)
    .option('--rescan <time>', 'with --watch: how often everything is looked at (default: 10m)', parseTime)
    .addHelpText('after', EXAMPLES)
    .action((dir: string | undefined, options: AdoptOptions) => runAdopt(dir, options));
}

async function runAdopt(dir: string | undefined, options: AdoptOptions): Promise<void> {
  if (options.backend === 's3') {
    await adoptBucket(dir ?? '', options);
    return;
  }
  if (dir === undefined && (options.into !== undefined || options.copy)) {
    throw new Error('--into and --copy need a folder: what lies in the data root is adopted where it is.');
  }
  assertWatchOptions(dir, options);
  const { config, source } = loadConfig(options.config === undefined ? {} : { file: options.config });
  const dryRun = options.dryRun ?? false;
  const folder = dir === undefined ? undefined : resolve(dir);
  await using parts = await openAdoption(config, {
    folder,
    copy: options.copy ?? false,
    dryRun,
    // It may hold keys, so it must not become a file that others read.
    excluded: source === undefined ? [] : [resolve(source)],
  });
  const target = { owner: ownerOf(config, options), into: options.into ?? ROOT_PATH };
  if (options.watch) {
    const { watchReporting } = await import('./adopt-watch.ts');
    const { removeMissing = false, json = false } = options;
    const removeAfterMs = removeMissing ? (options.grace ?? DEFAULT_GRACE_MS) : undefined;
    await watchReporting(parts, { ...target, removeAfterMs, rescanMs: options.rescan ?? DEFAULT_RESCAN_MS }, json);
    return;
  }
  await adoptOnce(parts, { ...target, dryRun }, options);
}

async function adoptBucket(below: string, options: AdoptOptions): Promise<void> {
  if (options.watch) {
    throw new Error(
      '--watch is for disks: a bucket does not tell what happens in it. Adopt again to find what is new.',
    );
  }
  if (options.into !== undefined || options.copy) {
    throw new Error('--into and --copy are for folders: what lies in the bucket is adopted where it is.');
  }
  assertWatchOptions(below, options);
  const { config } = loadConfig(options.config === undefined ? {} : { file: options.config });
  await using parts = await openBucketAdoption(config, below.replace(/^\/+/, ''));
  const owner = ownerOf(config, options);
  await adoptOnce(parts, { owner, into: ROOT_PATH, dryRun: options.dryRun ?? false }, options);
}

async function adoptOnce(
  { engine, source }: BucketAdoption,
  request: Omit<AdoptTreeRequest, 'onDone'>,
  { json }: AdoptOptions,
): Promise<void> {
  const report = await adoptShowingProgress({ engine, source }, request);
  process.stdout.write(json ? adoptJson(report) : adoptSummary(report, request.dryRun));
  if (needsAttention(report)) process.exitCode = EXIT_REPORTED;
}

function assertWatchOptions(dir: string | undefined, options: AdoptOptions): void {
  const { watch, removeMissing, grace, rescan, dryRun } = options;
  if (!watch && (removeMissing || rescan !== undefined)) throw new Error('--remove-missing and --rescan need --watch.');
  if (!removeMissing && grace !== undefined) throw new Error('--grace needs --remove-missing.');
  if (watch && dryRun) throw new Error('--watch changes the namespace: it cannot be a --dry-run.');
  if (removeMissing && dir !== undefined) {
    throw new Error('--remove-missing is for the data root: what is deleted in a folder elsewhere stays in CallFS.');
  }
}

async function adoptShowingProgress(
  { engine, source }: Pick<BucketAdoption, 'engine' | 'source'>,
  request: Omit<AdoptTreeRequest, 'onDone'>,
): Promise<AdoptTreeReport> {
  using progress = new AdoptProgress(source);
  return await adoptTree(engine, source, { ...request, onDone: (files) => progress.advance(files) });
}

/** Ids of a user for whom none are configured, as the server gives them. */
const DEFAULT_ID = 1000;

function ownerOf({ auth }: Config, { owner: name, group = name }: AdoptOptions): User {
  const id = name === 'root' ? 0 : DEFAULT_ID;
  const { uid = id, gid = id } = auth.users[name] ?? {};
  return { name, uid, gid, groups: [group], admin: false };
}

function parseName(text: string): string {
  return parsed(() => parseGroupName(text));
}

function parseInto(text: string): VirtualPath {
  if (!text.startsWith('/')) throw new InvalidArgumentError('It must be a path of the namespace, such as /photos.');
  return parsed(() => toVirtualPath(text.split('/').filter((name) => name !== '')));
}

function parseTime(text: string): number {
  return parsed(() => parseDuration(text));
}

function parsed<T>(parse: () => T): T {
  try {
    return parse();
  } catch (error) {
    throw new InvalidArgumentError(error instanceof Error ? error.message : String(error));
  }
}
