import type { Forwarder } from '../cluster/forward.ts';
import { fetchFromPeer } from '../cluster/peer-contents.ts';
import type { PeerDirectory } from '../cluster/peer-directory.ts';
import { isPeerFailure } from '../cluster/proxy-error.ts';
import type { FileEntry } from '../core/entry.ts';
import { CallFSError } from '../core/errors.ts';
import { encodePath } from '../core/virtual-path.ts';
import type { EngineContext } from '../engine/engine-context.ts';
import { CONTENTS } from '../http/request-target.ts';

import { ids } from './runtime.ts';

type Sharers = Pick<PeerDirectory, 'findSharers'>;

interface OtherInstances {
  readonly forwarder: Forwarder | undefined;
  readonly peers: Sharers;
}

/** Instances that may not forward have no way to each other's bytes either. */
export function contentFetcher(others: OtherInstances | undefined): EngineContext['fetchContent'] {
  return (entry, path, requestId = ids.nextRequest()) => {
    const { forwarder, peers } = others ?? {};
    if (!forwarder || !peers) {
      throw new CallFSError('MISDIRECTED_REQUEST', `The bytes of ${path} are on instance ${entry.instanceId}.`);
    }
    const target = `${CONTENTS}${encodePath(path)}?content=${encodeURIComponent(entry.contentId)}`;
    return fetchFromAny(entry, peers, (instanceId) => fetchFromPeer(forwarder, { instanceId, target, requestId }));
  };
}

/** From the owner, or while that does not answer from another instance that reaches the bytes. */
async function* fetchFromAny(
  { instanceId, backendType }: FileEntry,
  peers: Sharers,
  fetchFrom: (instanceId: string) => AsyncIterable<Uint8Array>,
): AsyncGenerator<Uint8Array> {
  let begun = false;
  try {
    for await (const chunk of fetchFrom(instanceId)) {
      begun = true;
      yield chunk;
    }
  } catch (error) {
    const [sharer] = begun || backendType !== 's3' || !isPeerFailure(error) ? [] : await peers.findSharers(instanceId);
    if (sharer === undefined) throw error;
    yield* fetchFrom(sharer);
  }
}

export const nobody = async (): Promise<undefined> => undefined;
