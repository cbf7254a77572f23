/** `callfs server`: runs one instance until it is told to stop. */
import { once } from 'node:events';
import { flushCompileCache } from 'node:module';
import type { Command } from 'commander';
import { startInstance } from '../compose/instance.ts';
import { readFaultSetting } from '../config/fault-point-setting.ts';
import { loadConfig } from '../config/load.ts';
import { stopRequest } from './stop-signal.ts';

const EXAMPLES = `
Examples:
  callfs server --config /etc/callfs/config.yaml
  CALLFS_AUTH__API_KEY_USERS__ALICE=$(openssl rand -hex 24) callfs server

Stops on SIGTERM or SIGINT: no new connections, what runs may finish within 30 s.
"callfs config validate" shows the configuration this command would use; docs/configuration.md explains it.`;

export function addServerCommand(program: Command): void {
  program
    .command('server')
    .description('run one instance')
    .option(
      '-c, --config <file>',
      'YAML or JSON; default: config.yaml, config.yml or config.json here, if there is one',
    )
    .addHelpText('after', EXAMPLES)
    .action(({ config: file }: { config?: string }) => runServer(file));
}

async function runServer(file: string | undefined): Promise<void> {
  const { config } = loadConfig(file === undefined ? {} : { file });
  const faults = readFaultSetting();
  if (faults) (await import('./fault-injection.ts')).injectFaults(faults);
  const stopped = once(stopRequest(), 'abort').then(() => undefined);
  await using instance = await startInstance(config);
  // Now, because a process that is killed would not write it.
  flushCompileCache();
  const failure = await Promise.race([instance.failed, stopped]);
  if (failure) throw failure;
}
