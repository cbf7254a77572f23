/** Removes resumable uploads that nobody continues, with their bytes. */
import { KEPT_MS, partialsOf, type UploadContext } from './upload-context.ts';

const AT_ONCE = 100;
const LOOK_EVERY_MS = 10 * 60 * 1000;

/** Those of this instance that have expired, and bytes that belong to none. Resolves to how many there were. */
export async function forgetUploads(context: UploadContext): Promise<number> {
  return (await forgetExpired(context)) + (await forgetLeftovers(context));
}

async function forgetExpired(context: UploadContext): Promise<number> {
  const { store, clock, instanceId, locks } = context;
  const partials = partialsOf(context);
  const nowMs = clock.now();
  for (let total = 0; ; ) {
    const expired = await store.uploads.listExpired(instanceId, nowMs, AT_ONCE);
    // A request that goes on for longer than uploads are kept has not lost it.
    const idle = expired.filter(({ id }) => !locks.isHeld(id));
    for (const { id } of idle) {
      // The bytes first: an upload without bytes is found again, bytes without an upload are not looked for as soon.
      await partials.remove(id);
      await store.uploads.remove(id);
    }
    total += idle.length;
    if (expired.length < AT_ONCE || idle.length === 0) return total;
  }
}

/** After a crash between a commit and the removal of the bytes, or when the store forgot the upload. */
async function forgetLeftovers(context: UploadContext): Promise<number> {
  const { store, clock, locks } = context;
  const partials = partialsOf(context);
  let total = 0;
  for (const { id, mtimeMs } of await partials.list()) {
    const record = await store.uploads.find(id);
    const isWanted = record ? !record.finished : mtimeMs > clock.now() - KEPT_MS;
    if (isWanted || locks.isHeld(id)) continue;
    await partials.remove(id);
    total += 1;
  }
  return total;
}

/** Does so at once, and then now and then, until it is disposed. */
export function keepForgettingUploads(context: UploadContext, onFailure: (error: unknown) => void): Disposable {
  const forget = (): void => void forgetUploads(context).catch(onFailure);
  const timer = setInterval(forget, LOOK_EVERY_MS);
  timer.unref();
  forget();
  return { [Symbol.dispose]: () => clearInterval(timer) };
}
