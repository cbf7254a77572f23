/**
 * Proves to an instance that a request comes from a peer: an HMAC-SHA-256 of the shared secret over what the
 * request asks, who asks whom, when, and a number used once. The secret itself never travels. It is made for one
 * boot of the receiver, so that a restart, which forgets the numbers, brings no old signature back to life.
 */
import { createHmac, timingSafeEqual } from 'node:crypto';
import type { Clock } from '../core/runtime.ts';
import { ReplayWindow } from './replay-window.ts';

/** On a request: the signature. On its answer: the id of the instance that answers. */
export const PEER_HEADER = 'x-callfs-peer';
/** On an answer: why the receiver did not believe the signature. */
export const PEER_REFUSED_HEADER = 'x-callfs-peer-refused';
/** What that begins with when it is about the sender's TLS certificate; the reason follows. */
export const CERTIFICATE = 'certificate=';

/** Difference of clocks, transport included, that is accepted. */
const MAX_SKEW_MS = 60_000;

export interface SignedRequest {
  readonly method: string;
  /** The request target as sent: path and query. */
  readonly target: string;
}

export interface PeerSignerOptions {
  /** Undefined: nothing can be signed or verified. */
  readonly secret: string | undefined;
  readonly instanceId: string;
  readonly bootId: string;
  readonly clock: Clock;
}

export type PeerVerdict =
  | { readonly kind: 'peer'; readonly instanceId: string }
  | { readonly kind: 'refused'; readonly reason: PeerRefusal };

export type PeerRefusal =
  | 'no-secret'
  | 'malformed'
  | 'wrong-instance'
  | 'wrong-signature'
  | 'clock-skew'
  | 'replayed'
  | 'loop'
  /** Made for another boot of the receiver than the one named. */
  | `boot=${string}`;

const FIELDS =
  /^from=([\w.-]+);to=([\w.-]+);boot=([\w-]{0,64});time=(\d{1,15});nonce=([\w-]{1,64})\.(\d{1,15});signature=([\w-]{43})$/;

export class PeerSigner {
  readonly #options: PeerSignerOptions;
  readonly #window = new ReplayWindow(2 * MAX_SKEW_MS);
  #counter = 0;

  constructor(options: PeerSignerOptions) {
    this.#options = options;
  }

  /**
   * The value of the peer header for a request to the instance `to`.
   * @param boot the receiver's, as it told in an earlier refusal; empty: not known yet
   */
  sign(request: SignedRequest, to: string, boot: string): string {
    const { instanceId, bootId, clock } = this.#options;
    const fields = `from=${instanceId};to=${to};boot=${boot};time=${clock.now()};nonce=${bootId}.${++this.#counter}`;
    return `${fields};signature=${this.#mac(request, fields)}`;
  }

  verify(request: SignedRequest, header: string): PeerVerdict {
    const { secret, instanceId, bootId: ownBoot, clock } = this.#options;
    if (secret === undefined) return refused('no-secret');
    const match = FIELDS.exec(header);
    if (!match) return refused('malformed');
    const [, from = '', to, boot, time, bootId = '', counter, signature = ''] = match;
    const fields = header.slice(0, header.lastIndexOf(';signature='));
    if (!equal(signature, this.#mac(request, fields))) return refused('wrong-signature');
    if (from === instanceId) return refused('loop');
    if (to !== instanceId) return refused('wrong-instance');
    // Told only to who knows the secret; the peer signs once more.
    if (boot !== ownBoot) return refused(`boot=${ownBoot}`);
    if (Math.abs(clock.now() - Number(time)) > MAX_SKEW_MS) return refused('clock-skew');
    if (!this.#window.accept(bootId, Number(counter), clock.now())) return refused('replayed');
    return { kind: 'peer', instanceId: from };
  }

  #mac({ method, target }: SignedRequest, fields: string): string {
    const { secret = '' } = this.#options;
    return createHmac('sha256', secret).update(`${method}\n${target}\n${fields}`).digest('base64url');
  }
}

const refused = (reason: PeerRefusal): PeerVerdict => ({ kind: 'refused', reason });

function equal(a: string, b: string): boolean {
  const left = Buffer.from(a);
  const right = Buffer.from(b);
  return left.length === right.length && timingSafeEqual(left, right);
}
