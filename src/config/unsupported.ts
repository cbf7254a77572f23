/** Settings of features that this version does not have. Each is refused rather than ignored; a feature that lands deletes its lines. */
import type { Config } from './config.ts';
import type { Problem } from './config-error.ts';

interface UnsupportedSetting extends Problem {
  readonly isUsed: (config: Config) => boolean;
}

export const unsupportedSettings: readonly UnsupportedSetting[] = [
  {
    path: ['server', 'workers'],
    message: 'more than 1 is not supported in this version yet; use 1',
    isUsed: (config) => config.server.workers > 1,
  },
];

/** Which settings ask for what this version cannot do. */
export function findUnsupported(config: Config): readonly Problem[] {
  return unsupportedSettings.filter(({ isUsed }) => isUsed(config)).map(({ path, message }) => ({ path, message }));
}
