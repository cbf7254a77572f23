/** The description says of every route what there is, and nothing else; and it is good OpenAPI. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createConfig, lintFromString } from '@redocly/openapi-core';
import type { RouteOptions } from 'fastify';
import { statusByCode } from '../../core/errors.ts';
import { buildApp } from '../app.ts';
import type { HttpServices } from '../http-services.ts';
import { INTERNAL } from '../request-target.ts';
import { openApiDocument } from './document.ts';

const document = openApiDocument({ version: '1.2.3', externalUrl: '' });

/** As the router has them, `GET /health`; without what is only there to be refused. */
function servedRoutes(): Set<string> {
  const routes: RouteOptions[] = [];
  const needed = { engine: {}, idleTimeoutMs: 1000, corsOrigins: [], certificates: undefined, externalUrl: '' };
  buildApp(needed as unknown as HttpServices, (route) => routes.push(route));
  const served = routes.filter(({ config }) => !config?.isRefusal && !config?.pattern?.startsWith(INTERNAL));
  return new Set(served.flatMap(({ method, config }) => [method].flat().map((name) => `${name} ${config?.pattern}`)));
}

function describedOperations(): Set<string> {
  const operations = Object.entries(document.paths ?? {}).flatMap(([path, item]) =>
    Object.keys(item).map((method) => `${method.toUpperCase()} ${path}`),
  );
  return new Set(operations);
}

test('every route is described, and every description is of a route', () => {
  const [served, described] = [servedRoutes(), describedOperations()];
  assert(served.size > 40, `${served.size}`);
  assert.deepEqual([...served.difference(described)], [], 'not described');
  assert.deepEqual([...described.difference(served)], [], 'not served');
});

test('every error code is one that an operation can be refused with', () => {
  const text = JSON.stringify(document.components?.responses);
  const unused = Object.keys(statusByCode).filter((code) => !text.includes(`\`${code}\``));
  assert.deepEqual(unused, []);
});

test('the recommended rules of Redocly find nothing', async () => {
  const config = await createConfig({ extends: ['recommended'] });
  const problems = await lintFromString({ source: JSON.stringify(document, null, 1), config });
  const told = problems.map(({ ruleId, message, location }) => `${ruleId}: ${message} ${location[0]?.pointer}`);
  assert.deepEqual(told, []);
});

test('the server is the external URL, or the one that is asked', () => {
  assert.deepEqual(document.servers, [{ url: '/' }]);
  const externalUrl = 'https://files.example.org';
  assert.deepEqual(openApiDocument({ version: '1', externalUrl }).servers, [{ url: externalUrl }]);
  assert.equal(document.info.version, '1.2.3');
});
