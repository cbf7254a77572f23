import type { Forwarder } from '../cluster/forward.ts';
import { fetchFromPeer } from '../cluster/peer-contents.ts';
import { CallFSError } from '../core/errors.ts';
import { encodePath } from '../core/virtual-path.ts';
import type { EngineContext } from '../engine/engine-context.ts';
import { CONTENTS } from '../http/request-target.ts';

import { ids } from './runtime.ts';

/** Instances that may not forward have no way to each other's bytes either. */
export function contentFetcher(forwarder: Forwarder | undefined): EngineContext['fetchContent'] {
  return ({ instanceId, contentId }, path, requestId = ids.nextRequest()) => {
    if (!forwarder) throw new CallFSError('MISDIRECTED_REQUEST', `The bytes of ${path} are on instance ${instanceId}.`);
    const target = `${CONTENTS}${encodePath(path)}?content=${encodeURIComponent(contentId)}`;
    return fetchFromPeer(forwarder, { instanceId, target, requestId });
  };
}

export const nobody = async (): Promise<undefined> => undefined;
