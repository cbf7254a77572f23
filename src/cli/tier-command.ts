/** `callfs tier`: what the tiering rules of an instance would move, or one round of it now. */
import type { Command } from 'commander';
import { clock } from '../compose/runtime.ts';
import { tierRules } from '../compose/tiering.ts';
import type { Config } from '../config/config.ts';
import { type PlannedRule, planTiering, totalDue } from '../engine/plan-tiering.ts';
import { tierFiles } from '../engine/tier-files.ts';
import { type OpenedNamespace, openNamespace } from './open-namespace.ts';
import { stopRequest } from './stop-signal.ts';
import { parseParallel, parseRate } from './transfer-options.ts';

interface TierOptions {
  readonly config?: string;
  readonly plan?: boolean;
  readonly json?: boolean;
  readonly rate?: number;
  readonly parallel?: number;
}

const FILES_REMAIN = 3;

const EXAMPLES = `
Examples:
  callfs tier --plan -c /etc/callfs/config.yaml     what would be moved now: files and bytes by rule; moves nothing
  callfs tier --plan --json | jq '.rules[].due'
  callfs tier -c /etc/callfs/config.yaml            one round now, with a progress bar
  callfs tier --rate 50MB/s --parallel 8            other limits than those of tiering_rounds

The rules are those of "tiering" in the configuration of the instance, whose server carries them out by itself every
tiering_rounds.every. A plan asks only the metadata store. A round asks the instance, which must run on this host, with
the key of a user who has admin: true. Everything stays readable and writable; what changes meanwhile is left for another
round. May be stopped (Ctrl-C, kill) and run again at any time.

Exit codes: 0 planned, or everything that was due was moved or has changed; 3 it was stopped, or files could not be
moved; 1 it could not begin.`;

export function addTierCommand(program: Command): void {
  program
    .command('tier')
    .description('move files to the backends where the tiering rules say that they belong, or show which')
    .option(
      '-c, --config <file>',
      'YAML or JSON of the instance; default: config.yaml, config.yml or config.json here, if there is one',
    )
    .option('--plan', 'only show what would be moved')
    .option('--rate <bytes/s>', 'at most so much on average, for example 50MB/s', parseRate)
    .option('--parallel <number>', 'files at the same time', parseParallel)
    .option('--json', 'print one JSON object')
    .addHelpText('after', EXAMPLES)
    .action((options: TierOptions) => runTier(options));
}

async function runTier(options: TierOptions): Promise<void> {
  const signal = stopRequest();
  await using opened = await openNamespace(options.config);
  const { config } = opened;
  if (config.tiering.length === 0) {
    throw new Error(
      '"tiering" has no rules; one is, for example: tiering: [{match: "/logs/**", older_than: 30d, to: s3}]',
    );
  }
  const instanceId = config.instance_discovery.instance_id;
  const planned = await planTiering({ store: opened.store, instanceId, clock }, tierRules(config));
  if (!options.plan) {
    await runRound(opened, options, planned, signal);
    return;
  }
  const { planJson, planText } = await import('./tier-report.ts');
  process.stdout.write((options.json ? planJson : planText)(config, planned));
}

async function runRound(
  { config, store }: OpenedNamespace,
  options: TierOptions,
  planned: readonly PlannedRule[],
  signal: AbortSignal,
): Promise<void> {
  const [{ TieringInstance }, { MoveProgressBar }, { roundJson, roundText }] = await Promise.all([
    import('./tiering-instance.ts'),
    import('./move-progress-bar.ts'),
    import('./tier-report.ts'),
  ]);
  using instance = await TieringInstance.open({ config, store, signal });
  const total = totalDue(planned);
  const moved = { files: 0, sizeBytes: 0 };
  const run = async () => {
    using bar = await MoveProgressBar.open(`tiering ${instance.instanceId}`);
    bar.show({ moved, total });
    return await tierFiles(instance, {
      rules: tierRules(config),
      ...limits(config, options),
      signal,
      onMoved({ entry }) {
        moved.files += 1;
        moved.sizeBytes += entry.sizeBytes;
        bar.show({ moved, total });
      },
    });
  };
  const report = await run();
  if (report.obstacle !== undefined && report.moved.files === 0) throw new Error(report.obstacle);
  const outcome = { instanceId: instance.instanceId, report, stopped: signal.aborted };
  process.stdout.write((options.json ? roundJson : roundText)(outcome));
  if (signal.aborted || report.failed > 0 || report.obstacle !== undefined) process.exitCode = FILES_REMAIN;
}

function limits({ tiering_rounds: configured }: Config, { rate, parallel }: TierOptions) {
  return { parallel: parallel ?? configured.parallel, bytesPerSecond: (rate ?? configured.rate) || undefined };
}
