/** Who holds the copy of a file when the client leaves that open. */
import type { EngineContext } from './engine-context.ts';

/** The holder of the original, where the copy costs least, unless that takes no new files. */
export async function copyHolder(context: EngineContext, originalsHolder: string): Promise<string> {
  const { instanceId: own, isDraining, findTaker, store } = context;
  const takes = async (id: string): Promise<boolean> =>
    id === own ? !isDraining() : (await store.findInstance(id))?.draining === false;
  if (await takes(originalsHolder)) return originalsHolder;
  if (await takes(own)) return own;
  return (await findTaker()) ?? originalsHolder;
}
