/** An entry together with where it stands in the namespace. */
import type { Entry } from './entry.ts';
import type { VirtualPath } from './virtual-path.ts';

export interface LocatedEntry {
  readonly entry: Entry;
  readonly path: VirtualPath;
  /** The directories above it, outermost first, without the root. */
  readonly above: readonly DirectoryAbove[];
}

export interface DirectoryAbove {
  readonly id: string;
  readonly name: string;
  /** The instance that made it. */
  readonly instanceId: string;
}
