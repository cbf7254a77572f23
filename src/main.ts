/** The command line: which command, and how failures end. */
import { Command, CommanderError } from 'commander';
import { addAdoptCommand } from './cli/adopt-command.ts';
import { addCertCommand } from './cli/cert-command.ts';
import { addClusterCommand } from './cli/cluster-command.ts';
import { addConfigCommand } from './cli/config-command.ts';
import { addDemoCommand } from './cli/demo-command.ts';
import { addFsckCommand } from './cli/fsck-command.ts';
import { addNodeCommand } from './cli/node-command.ts';
import { addRebuildCommand } from './cli/rebuild-command.ts';
import { addServerCommand } from './cli/server-command.ts';
import { addTierCommand } from './cli/tier-command.ts';
import { systemErrorCode } from './core/errors.ts';
import { VERSION } from './version.ts';

const program = new Command('callfs')
  .description('One namespace over several file servers, over HTTP.')
  .version(VERSION)
  .exitOverride()
  .configureOutput({ writeErr: () => {} });

addServerCommand(program);
addConfigCommand(program);
addDemoCommand(program);
addFsckCommand(program);
addAdoptCommand(program);
addRebuildCommand(program);
addClusterCommand(program);
addNodeCommand(program);
addTierCommand(program);
addCertCommand(program);

// Whoever reads the output may stop reading, like `head`.
process.stdout.on('error', (error) => process.exit(systemErrorCode(error) === 'EPIPE' ? 0 : 1));

try {
  await program.parseAsync();
} catch (error) {
  process.exitCode = error instanceof CommanderError ? endOf(error) : fail(oneLine(error));
}

function fail(reason: string): number {
  process.stderr.write(`callfs: ${reason}\n`);
  return 1;
}

/** Help and version were printed as asked; everything else is a mistake in the command line. */
function endOf({ exitCode, code, message }: CommanderError): number {
  if (exitCode === 0) return 0;
  if (code === 'commander.help') return fail('no command given; "callfs --help" shows what is possible');
  return fail(`${message.replace(/^error: /, '')}; "callfs --help" shows what is possible`);
}

function oneLine(error: unknown): string {
  return (error instanceof Error ? error.message : String(error)).replaceAll('\n', ' ');
}
