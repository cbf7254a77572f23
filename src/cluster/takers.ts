/** Who takes the new files of an instance that is being drained: its peers, each in its turn. */
import type { BackendType } from '../core/entry.ts';
import type { PeerDirectory } from './peer-directory.ts';

/** @returns finds the next taker that has a backend, or any; undefined: there is none now */
export function takingTurns(
  peers: Pick<PeerDirectory, 'findTakers'>,
): (backendType?: BackendType) => Promise<string | undefined> {
  let turn = 0;
  return async (backendType) => {
    const takers = await peers.findTakers(backendType);
    return takers[turn++ % takers.length];
  };
}
