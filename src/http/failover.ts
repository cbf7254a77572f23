/**
 * What becomes of a request for a file in a shared bucket whose owner does not answer: an instance that has the bucket,
 * too, takes the file over and does it by itself; any other one asks such an instance, once.
 */
import type { FastifyRequest } from 'fastify';
import type { CloseWatch } from '../cluster/peer.ts';
import type { FileEntry } from '../core/entry.ts';
import type { VirtualPath } from '../core/virtual-path.ts';
import type { Elsewhere } from '../engine/engine-context.ts';
import { isShared, takeOver, takeOverUntouched } from '../engine/shared-bucket.ts';
import type { HttpServices } from './http-services.ts';
import type { AttemptOutcome, FailedAttempt } from './owner-attempt.ts';

export interface FailoverOptions {
  readonly path: VirtualPath;
  /** As the owner is asked. */
  readonly method: string;
  /** Whether a former owner cannot do it any more once the file is another's, so that it may be done again there. */
  readonly isFenced: boolean;
}

export class Failover {
  readonly #services: HttpServices;
  readonly #request: FastifyRequest;
  readonly #options: FailoverOptions;
  readonly #isRead: boolean;
  /** Owners whose files others were asked for in vain. */
  readonly #askedFor = new Set<string>();

  constructor(services: HttpServices, request: FastifyRequest, options: FailoverOptions) {
    this.#services = services;
    this.#request = request;
    this.#options = options;
    this.#isRead = options.method === 'GET' || options.method === 'HEAD';
  }

  /** For a request that a peer has sent because it cannot reach the owner, if this instance cannot either. @returns look again */
  async takesOverForPeer(elsewhere: Elsewhere): Promise<boolean> {
    const file = sharedFileOf(elsewhere);
    if (!file || this.#isRead || this.#request.state.peer === undefined) return false;
    if (!(await this.#mayTakeOver(file)) || !(await this.#services.peers.isDown(file.instanceId))) return false;
    if (await takeOver(this.#services.engine, file)) this.#report(file);
    return true;
  }

  /** Watches an owner in whose stead somebody else can answer, so that its silence costs little time. */
  async watch(elsewhere: Elsewhere): Promise<CloseWatch | undefined> {
    const file = sharedFileOf(elsewhere);
    if (!file) return undefined;
    const { peers } = this.#services;
    const { instanceId } = file;
    const isHere = await isShared(this.#services.engine, file);
    const isReplaceable = isHere ? !this.#isRead : (await peers.findSharers(instanceId)).length > 0;
    return isReplaceable ? (await peers.getPeer(instanceId).catch(() => undefined))?.watchClosely() : undefined;
  }

  /**
   * @param ask tries to have the request answered by another instance
   * @returns `answered`: one has answered it; `again`: look whose the file is now
   * @throws CallFSError the owner's failure, when nobody may act in its stead
   */
  async overcome(
    elsewhere: Elsewhere,
    { error, mayHaveActed }: FailedAttempt,
    ask: (instanceId: string) => Promise<AttemptOutcome>,
  ): Promise<'answered' | 'again'> {
    const { engine, peers } = this.#services;
    const file = sharedFileOf(elsewhere);
    // An owner that is only slow, or refuses this instance, keeps its files.
    if (!file || !(await peers.isDown(file.instanceId))) throw error;
    if (await this.#mayTakeOver(file)) {
      // What this instance does not find in the bucket only its owner can tell about.
      if (this.#isRead || (mayHaveActed && !this.#options.isFenced)) throw error;
      const isTaken = await (mayHaveActed ? takeOverUntouched : takeOver)(engine, file);
      if (mayHaveActed && !isTaken) throw error;
      if (isTaken) this.#report(file);
      return 'again';
    }
    if (this.#askedFor.has(file.instanceId) || (mayHaveActed && !this.#isRead)) throw error;
    this.#askedFor.add(file.instanceId);
    for (const sharer of await peers.findSharers(file.instanceId)) {
      const outcome = await ask(sharer);
      if (outcome.kind === 'answered') return 'answered';
      if (outcome.kind === 'failed' && outcome.mayHaveActed && !this.#isRead) throw outcome.error;
    }
    return 'again';
  }

  /** One that shall hold nothing any more takes nothing over. */
  async #mayTakeOver(file: FileEntry): Promise<boolean> {
    const { engine } = this.#services;
    return !engine.isDraining() && (await isShared(engine, file));
  }

  #report({ instanceId }: FileEntry): void {
    const { metrics, log } = this.#services;
    const { path } = this.#options;
    metrics.takeovers.inc({ from_instance: instanceId });
    log.warn({ path, from: instanceId }, 'took over a file whose owner does not answer');
  }
}

/** What other instances may reach, too, when its owner is asked because it is the owner, and not because a client names it. */
function sharedFileOf({ entry, instanceId }: Elsewhere): FileEntry | undefined {
  if (entry?.type !== 'file' || entry.backendType !== 's3') return undefined;
  return entry.instanceId === instanceId ? entry : undefined;
}
