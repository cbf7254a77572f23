/** Programs of the system that some tests need. */
import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';

/**
 * For the option `skip` of a test: the reason, when the program is not installed. With CALLFS_REQUIRE_SERVICES=1
 * nothing is skipped, and the test fails by missing it.
 */
export function unlessInstalled(program: string): string | false {
  if (process.env.CALLFS_REQUIRE_SERVICES === '1' || findProgram(program)) return false;
  return `${program} is not installed`;
}

export function findProgram(program: string): string | undefined {
  const folders = (process.env.PATH ?? '').split(delimiter);
  return folders.map((folder) => join(folder, program)).find(isExecutable);
}

function isExecutable(file: string): boolean {
  try {
    accessSync(file, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
