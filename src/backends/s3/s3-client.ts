/** The SDK's client for the configured bucket: whom it asks, how long it waits, how often it tries. */
import { S3Client, type S3ClientConfig } from '@aws-sdk/client-s3';
import type { S3Settings } from './s3-settings.ts';

const CONNECT_TIMEOUT_MS = 3000;
/** Without a byte in either direction. */
const IDLE_TIMEOUT_MS = 20_000;
/** Once and again after short pauses that grow; what fails longer is the client's or the settler's to repeat. */
const ATTEMPTS = 3;
const MAX_CONNECTIONS = 256;

export function createS3Client({ endpoint, region, accessKey, secretKey }: S3Settings): S3Client {
  const agent = { keepAlive: true, maxSockets: MAX_CONNECTIONS };
  const options: S3ClientConfig = {
    region,
    maxAttempts: ATTEMPTS,
    // Not every S3 server knows the checksums that the SDK would add by itself; the signature covers the bytes.
    requestChecksumCalculation: 'WHEN_REQUIRED',
    responseChecksumValidation: 'WHEN_REQUIRED',
    // It would cost a connection for each large body.
    expectContinueHeader: false,
    requestHandler: {
      connectionTimeout: CONNECT_TIMEOUT_MS,
      socketTimeout: IDLE_TIMEOUT_MS,
      httpAgent: agent,
      httpsAgent: agent,
    },
    ...(endpoint === '' ? {} : { endpoint, forcePathStyle: true }),
    ...(accessKey === '' ? {} : { credentials: { accessKeyId: accessKey, secretAccessKey: secretKey } }),
  };
  const client = new S3Client(options);
  client.middlewareStack.add(
    (next) => async (args) => {
      const startedAt = performance.now();
      try {
        return await next(args);
      } catch (error) {
        throw isSilence(error, performance.now() - startedAt) ? new Unanswered() : error;
      }
    },
    // Within each attempt.
    { step: 'deserialize', name: 'unanswered' },
  );
  return client;
}

/** The bucket took a request and said nothing. It is not asked again: whoever waits would have given up by then. */
class Unanswered extends Error {
  override readonly name = 'Unanswered';

  constructor() {
    // Without the cause: for that the SDK would try again.
    super(`no answer for ${IDLE_TIMEOUT_MS} ms`);
  }
}

/** Unlike a connection that could not be made. */
function isSilence(error: unknown, ms: number): boolean {
  return error instanceof Error && error.name === 'TimeoutError' && ms >= IDLE_TIMEOUT_MS;
}
