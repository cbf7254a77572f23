/** What the HTTP layer works with; made once by `src/compose/`. */
import type { Authenticator } from '../auth/authenticator.ts';
import type { ClusterStatus } from '../cluster/cluster-status.ts';
import type { Forwarder } from '../cluster/forward.ts';
import type { PeerDirectory } from '../cluster/peer-directory.ts';
import type { PeerSigner } from '../cluster/peer-signature.ts';
import type { EngineContext } from '../engine/engine-context.ts';
import type { Jobs } from '../engine/jobs.ts';
import type { LinkContext } from '../engine/link-context.ts';
import type { UploadContext } from '../engine/upload-context.ts';
import type { Logger } from '../observability/logger.ts';
import type { Metrics } from '../observability/metrics.ts';
import type { RateLimits } from './rate-limits.ts';
import type { ServerCertificates } from './secure-server.ts';

/** What is needed to serve, and why it is broken; undefined: it works. */
export type Readiness = Readonly<Record<string, string | undefined>>;

export interface HttpServices {
  readonly engine: EngineContext;
  readonly jobs: Jobs;
  readonly links: LinkContext;
  readonly uploads: UploadContext;
  readonly rateLimits: RateLimits;
  /** Base URL that the operator gave this instance for clients; empty: none. */
  readonly externalUrl: string;
  readonly authenticator: Authenticator;
  readonly signer: PeerSigner;
  readonly peers: PeerDirectory;
  /** Undefined: requests for other instances' entries are answered with 421. */
  readonly forwarder: Forwarder | undefined;
  readonly metrics: Metrics;
  readonly log: Logger;
  readonly readiness: () => Promise<Readiness>;
  readonly clusterStatus: () => Promise<ClusterStatus>;
  readonly idleTimeoutMs: number;
  /** Origins of web pages that may read answers, `*` for all. */
  readonly corsOrigins: readonly string[];
  /** Undefined: clients and peers come without TLS. */
  readonly certificates: ServerCertificates | undefined;
}
