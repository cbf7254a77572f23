/** `callfs config validate`: shows what a server would run with. */
import type { Command } from 'commander';
import { stringify } from 'yaml';
import { loadConfig } from '../config/load.ts';
import { maskSecrets } from '../config/mask.ts';

export function addConfigCommand(program: Command): void {
  const config = program.command('config').description('look at the configuration');
  config
    .command('validate')
    .description('print the resolved configuration, secrets masked; exit 1 with the reason if it is not valid')
    .option(
      '-c, --config <file>',
      'YAML or JSON; default: config.yaml, config.yml or config.json here, if there is one',
    )
    .action(({ config: file }: { config?: string }) => validate(file));
}

function validate(file: string | undefined): void {
  const { config, source } = loadConfig(file === undefined ? {} : { file });
  process.stdout.write(`# ${source ?? 'defaults and environment'}\n${stringify(maskSecrets(config))}`);
}
