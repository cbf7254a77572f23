/** Which paths a pattern matches. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { parsePathPattern } from './path-pattern.ts';
import { toVirtualPath, type VirtualPath } from './virtual-path.ts';

function assertMatches(pattern: string, matching: readonly string[], others: readonly string[]): void {
  const matches = parsePathPattern(pattern);
  for (const path of matching) assert.ok(matches(path as VirtualPath), `${pattern} should match ${path}`);
  for (const path of others) assert.ok(!matches(path as VirtualPath), `${pattern} should not match ${path}`);
}

test('two stars are everything below, at any depth, but not the directory itself', () => {
  assertMatches(
    '/logs/**',
    ['/logs/a', '/logs/2024/05/a.gz', '/logs/a/b'],
    ['/logs', '/log/a', '/logs2/a', '/x/logs/a'],
  );
  assertMatches('/**', ['/a', '/a/b'], []);
  assertMatches('/**/*.gz', ['/a.gz', '/x/y/a.gz'], ['/a.gzip', '/a.gz/b']);
  assertMatches('/a/**/z', ['/a/z', '/a/b/z', '/a/b/c/z', '/a/z/z'], ['/a/b', '/a/zz', '/z']);
  assertMatches('/a/**/b/**/c', ['/a/b/c', '/a/x/b/b/y/c'], ['/a/c', '/a/b']);
});

test('one star and a question mark stay within a name', () => {
  assertMatches('/logs/*', ['/logs/a', '/logs/a.b'], ['/logs/a/b', '/logs']);
  assertMatches('/*/b*d', ['/a/bd', '/a/bccd'], ['/a/x/bd', '/a/bdc']);
  assertMatches('/a**z', ['/az', '/abcz'], ['/a/z']);
  assertMatches('/?', ['/a', '/é', '/😀'], ['/ab', '/a/b']);
});

test('names that other tools hide or read as more than themselves are ordinary', () => {
  assertMatches('/logs/**', ['/logs/.hidden', '/logs/.d/x', '/logs/...', '/logs/a[1]', '/logs/{x'], []);
  assertMatches('/a[1]!(x)+(y)', ['/a[1]!(x)+(y)'], ['/a1']);
  assertMatches('/#a b', ['/#a b'], ['/#A b']);
  assertMatches('/\\*\\{\\?', ['/*{?'], ['/a{b']);
});

test('braces give a choice, also of nothing, of directories, and within each other', () => {
  assertMatches('/{a,b}/x', ['/a/x', '/b/x'], ['/c/x', '/{a,b}/x']);
  assertMatches('/x{,.bak}', ['/x', '/x.bak'], ['/x.']);
  assertMatches('/{a/b,c{d,e}}/*.{log,gz}', ['/a/b/1.log', '/cd/1.gz', '/ce/.gz'], ['/c/1.gz', '/a/1.log']);
  assertMatches('/{a\\,b,c\\}}', ['/a,b', '/c}'], ['/a']);
});

test('what is no pattern is refused with what is wrong', () => {
  const refusals: readonly (readonly [string, RegExp])[] = [
    ['', /begin with \//],
    ['*.gz', /begin with \//],
    ['/logs/', /must not end with \/; all files below are \/logs\/\*\*/],
    ['/a//b', /empty name/],
    ['/{a,b', /without the other/],
    ['/a}', /without the other/],
    ['/a}{b}', /without the other/],
    ['/a\\', /nothing behind it/],
    [`/${'{a,b}'.repeat(10)}`, /more than 1000 alternatives/],
  ];
  for (const [pattern, reason] of refusals) assert.throws(() => parsePathPattern(pattern), reason, pattern);
});

const NAMES = fc.array(fc.string({ unit: 'grapheme', minLength: 1, maxLength: 20 }), { minLength: 1, maxLength: 5 });

test('every path matches itself when it is escaped, and two stars', () =>
  fc.assert(
    fc.property(NAMES, (names) => {
      const path = validPath(names);
      fc.pre(path !== undefined);
      assertMatches(path.replace(/[*?{},]/g, '\\$&'), [path], [`${path}x`]);
      assertMatches('/**', [path], []);
    }),
  ));

function validPath(names: readonly string[]): VirtualPath | undefined {
  try {
    return toVirtualPath(names.flatMap((name) => name.split('/')));
  } catch {
    return undefined;
  }
}

test('no name makes matching take long', () => {
  const matches = parsePathPattern(`/**/${'*a'.repeat(100)}b/**/x`);
  const startedAt = performance.now();
  const path = `/${Array(15).fill('a'.repeat(255)).join('/')}`;
  for (let round = 0; round < 10; round++) assert.ok(!matches(path as VirtualPath));
  assert.ok(performance.now() - startedAt < 2000, `${performance.now() - startedAt} ms`);
});
