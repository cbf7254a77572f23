import type { Authenticator } from '../auth/authenticator.ts';
import type { EngineContext } from '../engine/engine-context.ts';
import { keepForgettingUploads } from '../engine/forget-uploads.ts';
import type { UploadContext } from '../engine/upload-context.ts';
import { UploadLocks } from '../engine/upload-locks.ts';
import type { Logger } from '../observability/logger.ts';

/** What resumable uploads work with; begins to look after those that nobody continues. */
export function openUploads(
  engine: EngineContext,
  { authenticator, log, started }: { authenticator: Authenticator; log: Logger; started: AsyncDisposableStack },
): UploadContext {
  const findUser = (name: string) => authenticator.findUser(name);
  const uploads = { ...engine, findUser, locks: new UploadLocks(() => performance.now()) };
  started.use(keepForgettingUploads(uploads, (err) => log.error({ err }, 'old uploads could not be removed')));
  return uploads;
}
