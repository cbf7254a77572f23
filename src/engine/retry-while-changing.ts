/** Repeats a decision whose premises another request changed between looking and committing. */
import { metadataUnavailable } from '../core/errors.ts';

/** Every repetition means that somebody else made progress; so many in a row do not happen by chance. */
const MAX_ATTEMPTS = 1000;

/** @param attempt resolves to undefined when the premises have changed */
export async function retryWhileChanging<T>(attempt: () => Promise<T | undefined>): Promise<T> {
  for (let count = 0; count < MAX_ATTEMPTS; count++) {
    const result = await attempt();
    if (result !== undefined) return result;
  }
  throw metadataUnavailable(new Error('The entry kept changing.'));
}
