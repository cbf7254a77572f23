/** Where files were adopted of late: a file that is missing elsewhere may have been moved there. */
import type { Content } from '../core/entry.ts';
import type { VirtualPath } from '../core/virtual-path.ts';

const REMEMBERED = 50_000;

type Stamped = Pick<Content, 'storageStamp' | 'sizeBytes'>;

export class RecentlyAdopted {
  readonly #paths = new Map<string, VirtualPath>();

  add(path: VirtualPath, content: Stamped): void {
    this.#paths.set(keyOf(content), path);
    const [oldest] = this.#paths.keys();
    if (this.#paths.size > REMEMBERED && oldest !== undefined) this.#paths.delete(oldest);
  }

  pathOf(content: Stamped): VirtualPath | undefined {
    return this.#paths.get(keyOf(content));
  }
}

function keyOf({ storageStamp, sizeBytes }: Stamped): string {
  return `${storageStamp} ${sizeBytes}`;
}
