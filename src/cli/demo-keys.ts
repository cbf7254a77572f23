/** The demo's API keys and secret: made once, then kept in its folder. */
import { randomBytes } from 'node:crypto';
import { chmod, readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { systemErrorCode } from '../core/errors.ts';

export const KEYS_FILE = 'keys.json';

export const DEMO_USERS = ['alice', 'bob', 'admin'] as const;

const NAMES = [...DEMO_USERS, 'internal_proxy_secret'] as const;

export type DemoKeys = Readonly<Record<(typeof NAMES)[number], string>>;

/** Reads the keys, or makes them at the first start. */
export async function openKeys(directory: string): Promise<DemoKeys> {
  const file = join(directory, KEYS_FILE);
  const keys = (await readKeys(file)) ?? (await makeKeys(file));
  await chmod(file, 0o600);
  return keys;
}

async function readKeys(file: string): Promise<DemoKeys | undefined> {
  try {
    const keys: unknown = JSON.parse(await readFile(file, 'utf8'));
    if (areKeys(keys)) return keys;
  } catch (error) {
    if (systemErrorCode(error) === 'ENOENT') return undefined;
    if (!(error instanceof SyntaxError)) throw error;
  }
  throw new Error(`${file} is not as the demo wrote it; when you remove it, new keys are made.`);
}

function areKeys(value: unknown): value is DemoKeys {
  if (typeof value !== 'object' || value === null) return false;
  const texts = new Map<string, unknown>(Object.entries(value));
  return NAMES.every((name) => typeof texts.get(name) === 'string');
}

async function makeKeys(file: string): Promise<DemoKeys> {
  const make = (): string => randomBytes(16).toString('hex');
  const keys: DemoKeys = { alice: make(), bob: make(), admin: make(), internal_proxy_secret: make() };
  await writeFile(`${file}.new`, `${JSON.stringify(keys, null, 2)}\n`, { mode: 0o600, flush: true });
  await rename(`${file}.new`, file);
  return keys;
}
