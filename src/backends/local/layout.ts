/** Where things lie under an instance's data root. Pure functions from names to file paths. */
import { join } from 'node:path';
import { COPIES_PATH, RESERVED_TOP_LEVEL_NAME, type VirtualPath } from '../../core/virtual-path.ts';

/** Bytes in a file path that Linux takes (PATH_MAX, without the closing NUL). */
const MAX_FILE_PATH_BYTES = 4095;

export class Layout {
  readonly root: string;
  readonly internal: string;
  /** Content that is not in its natural place yet, by content id. */
  readonly staging: string;
  /** What has arrived of resumable uploads, by upload id. */
  readonly uploads: string;
  /** Content whose natural path would be longer than the disk takes, by content id. */
  readonly longNames: string;
  /** Files that lay where CallFS had to put something else. */
  readonly lostAndFound: string;
  /** The natural places of what is being copied and nobody sees yet. */
  readonly copies: string;
  /** What the namespace says about what lies here. */
  readonly catalog: string;
  readonly lock: string;
  readonly identity: string;

  constructor(root: string) {
    this.root = root;
    this.internal = join(root, RESERVED_TOP_LEVEL_NAME);
    this.staging = join(this.internal, 'staging');
    this.uploads = join(this.internal, 'uploads');
    this.longNames = join(this.internal, 'long-names');
    this.lostAndFound = join(this.internal, 'lost+found');
    this.copies = join(root, COPIES_PATH);
    this.catalog = join(this.internal, 'catalog');
    this.lock = join(this.internal, 'lock.sqlite3');
    this.identity = join(this.internal, 'instance.json');
  }

  stagingFile(contentId: string): string {
    return `${this.staging}/${contentId}`;
  }

  /** The file of an entry at rest: under its own name wherever the disk allows it. */
  naturalFile(path: VirtualPath, contentId: string): string {
    const file = this.root + path;
    if (file.length * 3 <= MAX_FILE_PATH_BYTES || Buffer.byteLength(file) <= MAX_FILE_PATH_BYTES) return file;
    return this.longNameFile(contentId);
  }

  longNameFile(contentId: string): string {
    return `${this.longNames}/${contentId}`;
  }
}
