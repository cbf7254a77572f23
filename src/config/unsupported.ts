/** Settings of features that this version does not have. Each is refused rather than ignored; a feature that lands deletes its lines. */
import type { Config } from './config.ts';
import type { Problem } from './config-error.ts';

interface UnsupportedSetting extends Problem {
  readonly isUsed: (config: Config) => boolean;
}

const S3 = 's3 is not supported in this version yet; use localfs';

export const unsupportedSettings: readonly UnsupportedSetting[] = [
  { path: ['backend', 'default_backend'], message: S3, isUsed: (config) => config.backend.default_backend === 's3' },
  { path: ['backend', 's3_endpoint'], message: S3, isUsed: (config) => config.backend.s3_endpoint !== '' },
  { path: ['backend', 's3_bucket_name'], message: S3, isUsed: (config) => config.backend.s3_bucket_name !== '' },
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
