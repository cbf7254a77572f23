/** What requests to S3 say about protection, on the wire: the server of the other tests takes encryption only over TLS. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type IncomingHttpHeaders } from 'node:http';
import type { AddressInfo } from 'node:net';
import { test } from 'node:test';
import { S3Bucket } from './s3-bucket.ts';
import { createS3Client } from './s3-client.ts';
import { S3Objects } from './s3-objects.ts';
import { PART_BYTES } from './s3-parts.ts';
import type { S3Settings } from './s3-settings.ts';

interface Asked {
  readonly what: string;
  readonly headers: IncomingHttpHeaders;
}

/** Says yes to everything. */
async function startRecorder(): Promise<AsyncDisposable & { readonly endpoint: string; readonly asked: Asked[] }> {
  const asked: Asked[] = [];
  const server = createServer(async (request, response) => {
    for await (const _ of request);
    const { method, url = '', headers } = request;
    const what = kindOf(String(method), new URL(url, 'http://s3').searchParams);
    asked.push({ what: headers['x-amz-copy-source'] === undefined ? what : `copy ${what}`, headers });
    const tag = '<ETag>"tag"</ETag>';
    const body = `<Result>${tag}<UploadId>upload</UploadId></Result>`;
    response.writeHead(200, { etag: '"tag"', 'content-type': 'application/xml' }).end(method === 'HEAD' ? '' : body);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    asked,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      server.close();
    },
  };
}

function kindOf(method: string, parameters: URLSearchParams): string {
  if (parameters.has('partNumber')) return 'part';
  if (method === 'POST') return parameters.has('uploads') ? 'begin' : 'end';
  return method;
}

async function* zeros(bytes: number): AsyncGenerator<Uint8Array> {
  for (let sent = 0; sent < bytes; sent += 1024 * 1024) yield new Uint8Array(1024 * 1024);
}

test('whatever makes an object says how it is encrypted and who may have it; what only adds to it does not', async () => {
  await using recorder = await startRecorder();
  const settings: S3Settings = {
    ...{
      endpoint: recorder.endpoint,
      bucket: 'bucket',
      region: 'eu-west-1',
      accessKey: 'key',
      secretKey: 'secret',
      prefix: 'p/',
    },
    ...{ serverSideEncryption: 'aws:kms', kmsKeyId: 'alias/files', acl: 'bucket-owner-full-control' },
  };
  const client = createS3Client(settings);
  const objects = new S3Objects(new S3Bucket(client, settings));
  await objects.put('a', { contentId: 'c-1', contentType: 'text/plain', body: Buffer.from('x'), exclusive: true });
  await objects.upload('b', { contentId: 'c-2', bytes: zeros(PART_BYTES + 1), sizeBytes: undefined });
  await objects.copy({ from: 'a', to: 'c', etag: 'tag', sizeBytes: 1, contentId: 'c-1' });
  await objects.copy({ from: 'b', to: 'd', etag: 'tag', sizeBytes: 300 * 1024 * 1024, contentId: 'c-2' });
  client.destroy();
  const makers = recorder.asked.filter(({ what }) => ['PUT', 'begin', 'copy PUT'].includes(what));
  assert.equal(makers.length, 4);
  for (const { what, headers } of makers) {
    assert.equal(headers['x-amz-server-side-encryption'], 'aws:kms', what);
    assert.equal(headers['x-amz-server-side-encryption-aws-kms-key-id'], 'alias/files', what);
    assert.equal(headers['x-amz-acl'], 'bucket-owner-full-control', what);
    assert.match(String(headers['x-amz-meta-callfs-content-id']), /^c-[12]$/, what);
  }
  const others = recorder.asked.filter(({ what }) => ['part', 'copy part', 'end'].includes(what));
  assert(others.length >= 6, recorder.asked.map(({ what }) => what).join());
  for (const { what, headers } of others) assert.equal(headers['x-amz-server-side-encryption'], undefined, what);
  assert.equal(makers[0]?.headers['if-none-match'], '*');
  assert.equal(makers[0]?.headers['content-type'], 'text/plain');
});
