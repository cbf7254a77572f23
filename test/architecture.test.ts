/** The direction of imports and the other absences that ARCHITECTURE.md promises, held by the linter, hold. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

const ROOT = fileURLToPath(new URL('..', import.meta.url));

/** What the linter, with this project's rules, says to a file with this source at this place. */
function lint(place: string, source: string): string {
  const folder = mkdtempSync(join(tmpdir(), 'callfs-lint-'));
  try {
    const config = JSON.parse(readFileSync(`${ROOT}biome.json`, 'utf8')) as Record<string, unknown>;
    writeFileSync(join(folder, 'biome.json'), JSON.stringify({ ...config, vcs: { enabled: false } }));
    mkdirSync(dirname(join(folder, place)), { recursive: true });
    writeFileSync(join(folder, place), source);
    const biome = join(ROOT, 'node_modules/.bin/biome');
    const { stdout, stderr } = spawnSync(biome, ['lint', '--max-diagnostics=none', '--colors=off'], {
      cwd: folder,
      encoding: 'utf8',
    });
    return stdout + stderr;
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** Room → what it must not import. */
const FORBIDDEN: Readonly<Record<string, readonly string[]>> = {
  'src/core': ['../engine/x.ts', '../http/x.ts', '../metadata/metadata-store.ts', 'node:fs', 'node:http', 'fastify'],
  'src/auth': ['../http/x.ts', '../engine/x.ts', '../config/config.ts'],
  'src/config': ['../http/x.ts', '../compose/instance.ts'],
  'src/observability': ['../http/x.ts', '../engine/x.ts'],
  'src/metadata/sql': ['../../engine/x.ts', '../../backends/backend.ts', '../../http/x.ts', 'pino'],
  'src/backends/local': ['../../engine/x.ts', '../../metadata/metadata-store.ts', '../../http/x.ts'],
  'src/engine': [
    '../http/x.ts',
    '../cluster/peer.ts',
    '../metadata/sql/x.ts',
    '../backends/local/x.ts',
    'node:fs/promises',
    'node:net',
    'fastify',
    'undici',
    'node:sqlite',
  ],
  'src/cluster': ['../http/x.ts', '../engine/x.ts', '../metadata/sql/x.ts', 'fastify'],
  'src/http': [
    '../compose/instance.ts',
    '../metadata/sql/x.ts',
    '../backends/local/x.ts',
    '../config/config.ts',
    'undici',
  ],
};

test('no room imports from above itself, or what belongs to another room', () => {
  for (const [room, imports] of Object.entries(FORBIDDEN)) {
    const source = imports.map((name, index) => `import { x${index} } from '${name}';\nx${index}();\n`).join('');
    const said = lint(`${room}/some-file.ts`, source);
    for (const [index, name] of imports.entries()) {
      assert.match(
        said,
        new RegExp(`:${2 * index + 1}:\\d+ lint/style/noRestrictedImports`),
        `${room} may import ${name}`,
      );
    }
  }
});

test('what a room may import is not refused', () => {
  const said = lint('src/engine/some-file.ts', "import { thing } from '../core/entry.ts';\nthing();\n");
  assert.doesNotMatch(said, /noRestrictedImports/);
});

test('only src/config reads the environment', () => {
  const source = 'export const home = process.env.HOME;\n';
  assert.match(lint('src/engine/some-file.ts', source), /noProcessEnv/);
  assert.doesNotMatch(lint('src/config/some-file.ts', source), /noProcessEnv/);
});

test('there are no default exports, no barrels, no any, no non-null assertions and no floating promises', () => {
  assert.match(lint('src/core/some-file.ts', 'export default 1;\n'), /noDefaultExport/);
  assert.match(lint('src/core/some-file.ts', "export * from './entry.ts';\n"), /noBarrelFile/);
  assert.match(lint('src/core/some-file.ts', 'export const f = (x: any) => x;\n'), /noExplicitAny/);
  assert.match(lint('src/core/some-file.ts', 'export const f = (x?: string) => x!.length;\n'), /noNonNullAssertion/);
  const floating = 'async function f(): Promise<void> {}\nexport function g(): void {\n  f();\n}\n';
  assert.match(lint('src/core/some-file.ts', floating), /noFloatingPromises/);
});

test('every folder of src is described in ARCHITECTURE.md, and every dependency has its reason there', () => {
  const text = readFileSync(`${ROOT}ARCHITECTURE.md`, 'utf8');
  for (const entry of readdirSync(`${ROOT}src`, { withFileTypes: true })) {
    const name = entry.isDirectory() ? `src/${entry.name}/` : `src/${entry.name}`;
    assert(text.includes(name), `ARCHITECTURE.md does not say what ${name} is`);
  }
  const { dependencies, devDependencies, optionalDependencies } = JSON.parse(
    readFileSync(`${ROOT}package.json`, 'utf8'),
  ) as Record<string, Record<string, string>>;
  for (const name of Object.keys({ ...dependencies, ...devDependencies, ...optionalDependencies })) {
    assert(text.includes(`\`${name}\``), `ARCHITECTURE.md does not say why ${name} is needed`);
  }
});

test('the lock file names no registry host', () => {
  assert.doesNotMatch(readFileSync(`${ROOT}package-lock.json`, 'utf8'), /"resolved"/);
});
