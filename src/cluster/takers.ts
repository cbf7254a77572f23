/** Who takes the new files of an instance that is being drained: its peers, each in its turn. */
import type { PeerDirectory } from './peer-directory.ts';

/** @returns finds the next taker; undefined: there is none now */
export function takingTurns(peers: Pick<PeerDirectory, 'findTakers'>): () => Promise<string | undefined> {
  let turn = 0;
  return async () => {
    const takers = await peers.findTakers();
    return takers[turn++ % takers.length];
  };
}
