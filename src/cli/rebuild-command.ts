/** `callfs rebuild`: the metadata store is lost, and the namespace comes back from the instances' disks. */
import type { Command } from 'commander';
import { openRebuild } from '../compose/offline.ts';
import type { Config } from '../config/config.ts';
import { loadConfig } from '../config/load.ts';
import { allPlaceholders, InstanceRebuild, type RebuildContext } from '../engine/rebuild-instance.ts';
import type { RebuildReport } from '../engine/rebuild-report.ts';
import type { RebuildSummary } from './rebuild-report.ts';

interface RebuildCommandOptions {
  readonly config: readonly string[];
  readonly finish?: true;
  readonly keepMissing?: true;
  readonly dryRun?: true;
  readonly json?: true;
}

const FINDINGS = 3;

const EXAMPLES = `
Examples:
  callfs rebuild -c /etc/callfs/config.yaml --dry-run    what would come back; nothing is changed
  callfs rebuild -c /etc/callfs/config.yaml              bring back what this instance held
  callfs rebuild -c node1.yaml -c node2.yaml             several instances whose disks are on this host
  callfs rebuild -c node3.yaml --finish                  the last one; directories of instances that are lost for good stay

For when the metadata store is lost: set metadata_store to a new, empty one, stop all instances, and run this for each
of them, on its own host, with its own configuration, in any order. Every instance keeps in .callfs/catalog below its
data root what the namespace said about its files and directories. Paths, owners, modes, times, versions and ETags come
back as they were. Nothing is taken for granted: each file is looked at, also those in a bucket; one that was changed
meanwhile becomes a new version, and one that is gone is reported. Rebuild all instances that share a bucket.

Nothing is overwritten, no file is deleted, and it can be run again at any time: it goes on where it stopped. Directories
that another instance made stand without their owner and mode, and only admins may enter them, until that instance is
rebuilt, too. With --finish they stay like that (root, mode 0700): give them to their owners with PATCH.

Exit codes: 0 all of it came back; 3 something was reported, or directories are or were missing; 1 it could not be done.
docs/operations.md says more.`;

export function addRebuildCommand(program: Command): void {
  program
    .command('rebuild')
    .description('bring a lost namespace back from what the instances have kept of it')
    .option('-c, --config <file>', 'YAML or JSON of an instance; may be given several times', collect, [])
    .option('--finish', 'no more instances will follow: make the directories that are missing, mode 0700')
    .option('--keep-missing', 'bring back also entries whose bytes are gone')
    .option('--dry-run', 'only say what would come back')
    .option('--json', 'print one JSON object')
    .addHelpText('after', EXAMPLES)
    .action((options: RebuildCommandOptions) => rebuild(options));
}

function collect(file: string, files: readonly string[]): string[] {
  return [...files, file];
}

async function rebuild(options: RebuildCommandOptions): Promise<void> {
  const loaded = options.config.length === 0 ? [loadConfig({})] : options.config.map((file) => loadConfig({ file }));
  assertOneStore(loaded.map(({ config }) => config));
  const excluded = loaded.map(({ source }) => source).filter((source) => source !== undefined);
  const dryRun = options.dryRun ?? false;
  await using opened = new AsyncDisposableStack();
  const contexts: RebuildContext[] = [];
  for (const { config } of loaded) contexts.push(opened.use(await openRebuild(config, { dryRun, excluded })).context);
  const summary = await rebuildAll(contexts, options);
  const { toJson, toText } = await import('./rebuild-report.ts');
  process.stdout.write(options.json ? toJson(summary) : toText(summary));
  const { instances, placeholders, isRootMissing, made = 0 } = summary;
  const isIncomplete = placeholders.size > 0 || isRootMissing || made > 0;
  if (isIncomplete || instances.some(({ findings }) => findings.length > 0)) process.exitCode = FINDINGS;
}

function assertOneStore(configs: readonly Config[]): void {
  const stores = new Set(
    configs.map(({ metadata_store: { type, sqlite_path, dsn } }) => `${type} ${sqlite_path} ${dsn}`),
  );
  if (stores.size > 1) throw new Error('The configurations name different metadata stores.');
}

async function rebuildAll(
  contexts: readonly RebuildContext[],
  options: RebuildCommandOptions,
): Promise<RebuildSummary> {
  const { keepMissing = false, dryRun = false } = options;
  // Here, so that a server need not load what only this command prints with.
  const { RebuildProgress } = await import('./rebuild-progress.ts');
  using progress = new RebuildProgress();
  const rebuilds = contexts.map((context) => {
    const { instanceId } = context;
    const onProgress = (done: number, total: number): void => progress.advance(instanceId, done, total);
    return new InstanceRebuild(context, { keepMissing, dryRun, onProgress });
  });
  for (const each of rebuilds) await each.restore();
  const instances: RebuildReport[] = [];
  for (const each of rebuilds) instances.push(await each.finish());
  const [first] = contexts;
  if (!first) throw new Error('No instance was given.');
  const placeholders = new Map<string, number>();
  for await (const { entry } of allPlaceholders(first.store)) {
    placeholders.set(entry.instanceId, (placeholders.get(entry.instanceId) ?? 0) + 1);
  }
  const ends = options.finish === true && !dryRun;
  const { instanceId, clock } = first;
  const made = ends ? await first.store.endRebuild({ instanceId, nowMs: clock.now() }) : undefined;
  const [root] = await first.store.resolve([]);
  const isRootMissing = root?.version === 0;
  return { instances, placeholders: ends ? new Map() : placeholders, isRootMissing, made, dryRun };
}
