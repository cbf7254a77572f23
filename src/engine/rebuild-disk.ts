/** The files that lie on a disk, found by what the namespace said about them; each is claimed by one entry at most. */
import type { HeldFile, RecallingHoldings, UnreadablePlace } from '../backends/backend.ts';
import { type Content, type FileEntry, haveSameBytes } from '../core/entry.ts';
import type { LocatedEntry } from '../core/located-entry.ts';
import type { Ids } from '../core/runtime.ts';
import type { VirtualPath } from '../core/virtual-path.ts';

export interface LocatedFileEntry extends LocatedEntry {
  readonly entry: FileEntry;
}

export type Match =
  /** As it was stored. */
  | { readonly kind: 'intact'; readonly file: HeldFile; readonly entry: FileEntry }
  /** The same bytes in another file, as after a restore from a backup. */
  | { readonly kind: 'restamped'; readonly file: HeldFile; readonly entry: FileEntry }
  /** Other bytes, which are its next version. */
  | { readonly kind: 'changed'; readonly file: HeldFile; readonly entry: FileEntry }
  | { readonly kind: 'missing' };

export class RebuildDisk {
  readonly #holdings: RecallingHoldings;
  readonly #byStamp = new Map<string, HeldFile[]>();
  readonly #byPath = new Map<VirtualPath, HeldFile>();
  readonly #byContent = new Map<string, HeldFile>();
  readonly #byName = new Map<string, HeldFile[]>();
  readonly #all: HeldFile[] = [];
  readonly #staged = new Set<HeldFile>();
  readonly #claimed = new Set<HeldFile>();
  readonly unreadable: UnreadablePlace[] = [];

  private constructor(holdings: RecallingHoldings) {
    this.#holdings = holdings;
  }

  static async look(holdings: RecallingHoldings): Promise<RebuildDisk> {
    const disk = new RebuildDisk(holdings);
    for await (const found of holdings.files(undefined)) disk.#add(found, false);
    for await (const found of holdings.stagedFiles()) disk.#add(found, true);
    return disk;
  }

  #add(found: HeldFile | UnreadablePlace, isStaged: boolean): void {
    if ('reason' in found) {
      this.unreadable.push(found);
      return;
    }
    this.#all.push(found);
    if (isStaged) this.#staged.add(found);
    addTo(this.#byStamp, stampKey(found), found);
    if (found.contentId !== undefined) this.#byContent.set(found.contentId, found);
    if (found.path === undefined) return;
    this.#byPath.set(found.path, found);
    addTo(this.#byName, nameKey(nameOf(found.path), found.sizeBytes), found);
  }

  /** By size and stamp: nobody else can have it. First for all files, so that no other takes what is one's own. */
  claimIntact(files: readonly LocatedFileEntry[]): Map<string, Match> {
    const matches = new Map<string, Match>();
    const claim = (entry: FileEntry, file: HeldFile | undefined): void => {
      if (!file) return;
      this.#claimed.add(file);
      matches.set(entry.id, { kind: 'intact', file, entry });
    };
    // One file may have two names, and then each is that of another entry.
    for (const { entry, path } of files) {
      claim(
        entry,
        this.#unclaimed(entry).find((file) => file.path === path),
      );
    }
    for (const { entry } of files) if (!matches.has(entry.id)) claim(entry, this.#unclaimed(entry)[0]);
    return matches;
  }

  #unclaimed(content: Content): HeldFile[] {
    return (this.#byStamp.get(stampKey(content)) ?? []).filter((file) => !this.#claimed.has(file));
  }

  /** What nothing but its place or its bytes can tell. @param paths where it may lie, the likeliest first */
  async claimByBytes({ entry, path }: LocatedFileEntry, paths: readonly VirtualPath[], ids: Ids): Promise<Match> {
    const places = [...new Set([...paths, path])];
    const there = places.map((place) => this.#byPath.get(place)).filter((file) => file !== undefined);
    const alike = this.#byName.get(nameKey(entry.name, entry.sizeBytes)) ?? [];
    const aside = this.#byContent.get(entry.contentId);
    const free = [...there, ...(aside ? [aside] : []), ...alike].filter((file) => !this.#claimed.has(file));
    for (const file of new Set(free)) {
      if (file.sizeBytes !== entry.sizeBytes) continue;
      const observed = await this.#holdings.observe(file.path ?? path, entry.contentId).catch(() => undefined);
      if (!observed || !haveSameBytes(observed.content, entry)) continue;
      this.#claimed.add(file);
      return { kind: 'restamped', file, entry: { ...entry, storageStamp: observed.content.storageStamp } };
    }
    for (const file of there) {
      if (this.#claimed.has(file) || file.path === undefined) continue;
      const observed = await this.#holdings.observe(file.path, ids.next()).catch(() => undefined);
      if (!observed) continue;
      this.#claimed.add(file);
      const { content, mtimeMs } = observed;
      const changed = { ...entry, ...content, etag: content.contentId, mtimeMs, version: entry.version + 1 };
      return { kind: 'changed', file, entry: changed };
    }
    return { kind: 'missing' };
  }

  /** Files in natural places, or where those have no room, that no entry has claimed. */
  unknown(): HeldFile[] {
    return this.#all.filter((file) => !this.#claimed.has(file) && !this.#staged.has(file));
  }

  unknownStaged(): HeldFile[] {
    return [...this.#staged].filter((file) => !this.#claimed.has(file));
  }
}

function addTo<K>(map: Map<K, HeldFile[]>, key: K, file: HeldFile): void {
  const known = map.get(key);
  if (known) known.push(file);
  else map.set(key, [file]);
}

function stampKey({ storageStamp, sizeBytes }: Pick<Content, 'storageStamp' | 'sizeBytes'>): string {
  return `${sizeBytes} ${storageStamp}`;
}

function nameKey(name: string, sizeBytes: number): string {
  return `${sizeBytes} ${name}`;
}

const nameOf = (path: VirtualPath): string => path.slice(path.lastIndexOf('/') + 1);
