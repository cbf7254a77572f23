/** Where an entry that a client creates at this instance goes: here, unless this instance shall hold nothing any more. */
import type { BackendType } from '../core/entry.ts';
import type { Elsewhere, EngineContext } from './engine-context.ts';

/**
 * The instance that takes it instead of this one; undefined: it is created here.
 * @param forwarded a peer has sent the request on, so it must end here
 * @param backendType where the client wants it to be kept; undefined: anywhere
 */
export async function placeElsewhere(
  { isDraining, findTaker }: EngineContext,
  forwarded: boolean,
  backendType?: BackendType,
): Promise<Elsewhere<undefined> | undefined> {
  if (forwarded || !isDraining()) return undefined;
  const instanceId = await findTaker(backendType);
  return instanceId === undefined ? undefined : { kind: 'elsewhere', entry: undefined, instanceId };
}
