/** Request target: what it promises. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CallFSError } from '../core/errors.ts';
import { FILES, originForm, parseCount, parseFlag, parseTarget, SOCKET_ROUTE, toRouted } from './request-target.ts';

test('the router sees a stand-in for the path, and the query', () => {
  for (const target of ['/v1/files', '/v1/files/', '/v1/files/a/b', '/v1/files/..%2f%zz', 'http://host:1/v1/files/a']) {
    assert.equal(toRouted(target), '/v1/files/-');
  }
  assert.equal(toRouted('/v1/directories/a?recursive=true'), '/v1/directories/-?recursive=true');
  assert.equal(toRouted('/health'), '/health');
  assert.equal(toRouted('/v1/filesystem'), '/v1/filesystem');
  assert.equal(toRouted('/download/a%20b'), '/download/-');
});

test('only a request that wants to become a WebSocket gets to the route for it', () => {
  assert.equal(toRouted('/v1/files/ws/a?mode=upload', true), `${SOCKET_ROUTE}?mode=upload`);
  for (const target of ['/v1/files/ws/a?mode=upload', SOCKET_ROUTE, `http://host${SOCKET_ROUTE}`]) {
    assert.notEqual(toRouted(target).split('?')[0], SOCKET_ROUTE);
  }
});

test('the path comes from the raw target, without its query', () => {
  assert.deepEqual(parseTarget('/v1/files/a%3Fb?x=/y', FILES), { path: '/a?b', namesDirectory: false });
  assert.deepEqual(parseTarget('/v1/files', FILES), { path: '/', namesDirectory: true });
  assert.deepEqual(parseTarget('http://host/v1/files/a//b/', FILES), { path: '/a/b', namesDirectory: true });
  assert.throws(() => parseTarget('/v1/files/a#b', FILES), { code: 'INVALID_PATH' });
});

test('a peer is asked in origin form', () => {
  assert.equal(originForm('http://host:8443/v1/files/a%20b?c'), '/v1/files/a%20b?c');
  assert.equal(originForm('/v1/files/a'), '/v1/files/a');
});

test('parameters are strict', () => {
  assert.equal(parseFlag({}, 'recursive'), false);
  assert.equal(parseFlag({ recursive: 'true' }, 'recursive'), true);
  assert.equal(parseCount({ limit: '10' }, 'limit', 1, 100), 10);
  assert.equal(parseCount({}, 'limit', 1, 100), undefined);
  const bad = (run: () => unknown) =>
    assert.throws(run, (error) => error instanceof CallFSError && error.code === 'BAD_REQUEST');
  bad(() => parseFlag({ recursive: 'yes' }, 'recursive'));
  bad(() => parseFlag({ recursive: ['true', 'true'] }, 'recursive'));
  for (const limit of ['0', '101', '-1', '1.5', 'x', '']) bad(() => parseCount({ limit }, 'limit', 1, 100));
});
