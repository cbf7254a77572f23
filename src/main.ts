/** The command line: which command, and how failures end. */
import { Command } from 'commander';
import { addConfigCommand } from './cli/config-command.ts';
import { addDemoCommand } from './cli/demo-command.ts';
import { addServerCommand } from './cli/server-command.ts';
import { VERSION } from './version.ts';

const program = new Command('callfs')
  .description('One namespace over several file servers, over HTTP.')
  .version(VERSION)
  .showHelpAfterError('(callfs --help shows what is possible)');

addServerCommand(program);
addConfigCommand(program);
addDemoCommand(program);

try {
  await program.parseAsync();
} catch (error) {
  process.stderr.write(`callfs: ${oneLine(error)}\n`);
  process.exitCode = 1;
}

function oneLine(error: unknown): string {
  return (error instanceof Error ? error.message : String(error)).replaceAll('\n', ' ');
}
