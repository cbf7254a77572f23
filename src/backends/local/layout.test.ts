/** Where files lie, for any path at all. */
import assert from 'node:assert/strict';
import { resolve } from 'node:path';
import { test } from 'node:test';
import fc from 'fast-check';
import { parseEncodedPath, ROOT_PATH, type VirtualPath } from '../../core/virtual-path.ts';
import { Layout } from './layout.ts';

test('no path leads out of the data root or into what is internal, and no two paths to the same file', () => {
  const layout = new Layout('/data/root');
  const piece = fc.constantFrom(
    '/',
    '.',
    '..',
    '%2e',
    '%2E%2e',
    '%2f',
    '%5c',
    '\\',
    '.callfs',
    '%00',
    'a',
    'A',
    '%61',
    '%c3%a9',
  );
  const target = fc.oneof(
    fc.string({ unit: 'binary' }),
    fc.array(piece, { maxLength: 12 }).map((pieces) => pieces.join('')),
    fc
      .array(fc.constantFrom('%F0%9F%98%80', 'x', '/'), { minLength: 300, maxLength: 1200 })
      .map((pieces) => pieces.join('')),
  );
  const found = new Map<string, VirtualPath>();
  fc.assert(
    fc.property(target, (encoded) => {
      const path = parsedOrUndefined(encoded);
      if (path === undefined || path === ROOT_PATH) return;
      const file = layout.naturalFile(path, `content-of-${path.length}`);
      assert.equal(resolve(file), file);
      assert(file.startsWith(`${layout.root}/`), file);
      if (file.startsWith(`${layout.internal}/`)) {
        assert(file.startsWith(`${layout.longNames}/`), file);
        return;
      }
      assert.notEqual(file, layout.internal);
      assert.equal(found.get(file) ?? path, path);
      found.set(file, path);
    }),
    { numRuns: 10_000 },
  );
  assert(found.size > 500, `${found.size}`);
});

function parsedOrUndefined(encoded: string): VirtualPath | undefined {
  try {
    return parseEncodedPath(encoded).path;
  } catch {
    return undefined;
  }
}
