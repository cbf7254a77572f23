/**
 * Where things are in a bucket. Keys are relative to the configured prefix: `docs/a.txt` for the file `/docs/a.txt`, and
 * below `.callfs/`, which no path of the namespace can begin with, what CallFS keeps for itself.
 */
import { RESERVED_TOP_LEVEL_NAME, toVirtualPath, type VirtualPath } from '../../core/virtual-path.ts';

/** Bytes in a key, prefix included: the limit of S3. */
const MAX_KEY_BYTES = 1024;

const STAGING = `${RESERVED_TOP_LEVEL_NAME}/staging/`;
const LONG_NAMES = `${RESERVED_TOP_LEVEL_NAME}/long-names/`;

export class S3Keys {
  readonly prefix: string;
  /** Below this key the instance stages. */
  readonly staging: string;

  constructor(prefix: string, instanceId: string) {
    this.prefix = prefix;
    this.staging = `${STAGING}${instanceId}/`;
  }

  stagingKey(contentId: string): string {
    return `${this.staging}${contentId}`;
  }

  /** The content that something is staged under this key for; undefined: by another instance, or not staged. */
  stagedContentOf(key: string): string | undefined {
    return key.startsWith(this.staging) ? key.slice(this.staging.length) : undefined;
  }

  /** The instance that has staged something under this key; undefined: nothing is staged there. */
  stagedBy(key: string): string | undefined {
    return key.startsWith(STAGING) ? key.slice(STAGING.length).split('/')[0] : undefined;
  }

  /** The natural place of a file: its path, or, where that is too long for a key, one of its content's own. */
  naturalKey(path: VirtualPath, contentId: string): string {
    const key = path.slice(1);
    if (Buffer.byteLength(this.prefix + key) <= MAX_KEY_BYTES) return key;
    return `${LONG_NAMES}${contentId}`;
  }

  /** The content that a key is named after; undefined: of none. */
  contentOf(key: string): string | undefined {
    return key.startsWith(LONG_NAMES) ? key.slice(LONG_NAMES.length) : this.stagedContentOf(key);
  }

  /** Whether contents lie under keys like this one, or may come to lie there. */
  isOfContents(key: string): boolean {
    return this.isShared(key) || key.startsWith(STAGING) || key.startsWith(LONG_NAMES);
  }

  /** Whether other contents may come to lie under this key, too. */
  isShared(key: string): boolean {
    return !key.startsWith(`${RESERVED_TOP_LEVEL_NAME}/`) || key.startsWith(`${RESERVED_TOP_LEVEL_NAME}/copies/`);
  }

  /** The path whose natural place a key is; undefined: of none. */
  pathOf(key: string): VirtualPath | undefined {
    try {
      return toVirtualPath(key.split('/'));
    } catch {
      return undefined;
    }
  }

  lostKey(key: string, at: number): string {
    const moment = new Date(at).toISOString().replace(/[:.]/g, '-');
    const name = Buffer.from(key.replaceAll('/', '_')).subarray(-200).toString('utf8').replaceAll('\ufffd', '');
    return `${RESERVED_TOP_LEVEL_NAME}/lost+found/${moment}-${name}`;
  }
}
