/** Removes single-use links that nobody asks for any more. */
import type { EngineContext } from './engine-context.ts';

/** So long after it expired a link is still known to be one. */
const KEPT_MS = 24 * 60 * 60 * 1000;
const AT_ONCE = 1000;

/** Resolves to how many were removed. */
export async function forgetLinks({ store, clock }: Pick<EngineContext, 'store' | 'clock'>): Promise<number> {
  const expiredBeforeMs = clock.now() - KEPT_MS;
  let total = 0;
  for (;;) {
    const count = await store.links.forget({ expiredBeforeMs, limit: AT_ONCE });
    total += count;
    if (count < AT_ONCE) return total;
  }
}

const FORGET_EVERY_MS = 10 * 60 * 1000;

/** Does so now and then until it is disposed. */
export function keepForgettingLinks(
  context: Pick<EngineContext, 'store' | 'clock'>,
  onFailure: (error: unknown) => void,
): Disposable {
  const timer = setInterval(() => void forgetLinks(context).catch(onFailure), FORGET_EVERY_MS);
  timer.unref();
  return { [Symbol.dispose]: () => clearInterval(timer) };
}
