/** The HTTP documentation and the code name the same errors, routes and metrics. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { statusByCode } from '../src/core/errors.ts';
import { openApiDocument } from '../src/http/openapi/document.ts';

const text = readFileSync(new URL('../docs/http-api.md', import.meta.url), 'utf8');

test('every error code is documented with its status, and every documented code exists', () => {
  const documented = new Map(
    [...text.matchAll(/^\| (\d{3}) \| `([A-Z_]+)` \|/gm)].map(([, status, code]) => [code, status]),
  );
  assert.deepEqual(
    Object.fromEntries(documented),
    Object.fromEntries(Object.entries(statusByCode).map(([code, status]) => [code, String(status)])),
  );
});

test('every route is documented', () => {
  const { paths = {} } = openApiDocument({ version: '0.0.0', externalUrl: '' });
  for (const route of [...Object.keys(paths), '/v1/internal/']) {
    assert(text.includes(route), `${route} is missing`);
  }
});
