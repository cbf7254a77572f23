/** `callfs fsck`: compares the namespace with an instance's disk and bucket, and puts right what is safe. */
import { type Command, InvalidArgumentError, Option } from 'commander';
import { openCheck } from '../compose/offline.ts';
import { loadConfig } from '../config/load.ts';
import type { BackendType } from '../core/entry.ts';
import { CallFSError } from '../core/errors.ts';
import { toVirtualPath, type VirtualPath } from '../core/virtual-path.ts';
import { checkInstance } from '../engine/check-instance.ts';
import type { CheckContext } from '../engine/check-subject.ts';
import { repairFindings } from '../engine/repair-findings.ts';
import type { BackendReport, FsckReport } from './fsck-report.ts';

interface FsckOptions {
  readonly config?: string;
  readonly repair?: boolean;
  readonly forgetLost?: boolean;
  readonly deep?: boolean;
  readonly json?: boolean;
  readonly path?: VirtualPath;
  readonly backend?: BackendType;
}

const FINDINGS_REMAIN = 3;

const EXAMPLES = `
Examples:
  callfs fsck -c /etc/callfs/config.yaml            look only; nothing is changed
  callfs fsck -c /etc/callfs/config.yaml --deep     also read every file and compare its checksum
  callfs fsck -c /etc/callfs/config.yaml --repair   put right what can be put right without losing a byte
  callfs fsck --path /projects --json | jq '.findings[].path'

Each instance checks its own disk and its own files in its bucket, if it has one, so run it on every host, with the
configuration of the instance. The instance may run or not. While it runs, what is on its way is not reported, and what
only it may touch is left to it. Files that other instances have in the same bucket are left alone.

A repair never deletes bytes of a file: what nothing points to goes to .callfs/lost+found below the data root or in the
bucket. Only uploads that were never finished are removed, and content whose replacement or deletion was committed.
An entry whose bytes are gone is kept, because they may come back from a backup. Restore the file to its place, then
run --repair again. To give such files up: --repair --forget-lost.

Exit codes: 0 nothing is wrong, or all of it was repaired; 3 findings remain; 1 it could not be checked.`;

export function addFsckCommand(program: Command): void {
  program
    .command('fsck')
    .description("compare the namespace with the instance's disk and bucket, and repair")
    .option(
      '-c, --config <file>',
      'YAML or JSON; default: config.yaml, config.yml or config.json here, if there is one',
    )
    .option('--repair', 'put right what is safe, and say what was done')
    .option('--forget-lost', 'with --repair: remove entries whose bytes are gone')
    .option('--deep', 'read every file and compare its checksum')
    .option('--json', 'print one JSON object')
    .addOption(
      new Option('--backend <type>', 'only this backend of the instance (default: all)').choices(['localfs', 's3']),
    )
    .option('--path <path>', 'only this path of the namespace and what is below it', parsePath)
    .addHelpText('after', EXAMPLES)
    .action((options: FsckOptions) => fsck(options));
}

function parsePath(text: string): VirtualPath {
  try {
    return toVirtualPath(text.split('/').filter((name) => name !== ''));
  } catch (error) {
    throw new InvalidArgumentError(error instanceof CallFSError ? error.message : String(error));
  }
}

async function fsck({ config: file, json = false, repair = false, ...options }: FsckOptions): Promise<void> {
  if (options.forgetLost && !repair) throw new Error('--forget-lost changes the namespace: it needs --repair.');
  const { config, source } = loadConfig(file === undefined ? {} : { file });
  const excluded = source === undefined ? [] : [source];
  await using opened = await openCheck(config, { claim: repair, excluded, backend: options.backend });
  const report = await check(opened.contexts, { ...options, repair });
  const { toJson, toText } = await import('./fsck-report.ts');
  process.stdout.write(json ? toJson(report) : toText(report));
  if (report.backends.some(({ findings }) => findings.some(({ repaired }) => !repaired)))
    process.exitCode = FINDINGS_REMAIN;
}

async function check(contexts: readonly CheckContext[], options: FsckOptions): Promise<FsckReport> {
  const { repair = false, forgetLost = false, deep = false, path: under } = options;
  const parts: BackendReport[] = [];
  for (const context of contexts) {
    const { checked, served, findings } = await checkWithProgress(context, { deep, under });
    const { holdings } = context;
    parts.push({
      ...{ backendType: holdings.type, root: holdings.root, checked, served },
      findings: repair
        ? await repairFindings(context, findings, { forgetLost })
        : findings.map((finding) => ({ ...finding, repaired: false, done: undefined })),
    });
  }
  return { instanceId: contexts[0]?.instanceId ?? '', repair, backends: parts };
}

async function checkWithProgress(
  context: CheckContext,
  options: { readonly deep: boolean; readonly under: VirtualPath | undefined },
) {
  // Here, so that a server need not load what only this command prints with.
  const { FsckProgress } = await import('./fsck-progress.ts');
  using progress = new FsckProgress(context);
  return await checkInstance(context, { ...options, onProgress: () => progress.advance() });
}
