/** What is in a directory, in byte order: as it is when it is looked at, or with all directories of one moment. */
import { compareBytes } from '../core/byte-order.ts';
import type { DirectoryEntry, Entry } from '../core/entry.ts';
import { namesOf, type VirtualPath } from '../core/virtual-path.ts';
import type { DirectoryPlace } from '../metadata/metadata-store.ts';
import type { EngineContext } from './engine-context.ts';

export interface Children {
  /** @param after only names greater than this; undefined: from the first */
  of(directory: DirectoryEntry, after: string | undefined): AsyncIterable<Entry>;
  /** One of them. @param path its own */
  find(directory: DirectoryEntry, path: VirtualPath): Promise<Entry | undefined>;
}

type Context = Pick<EngineContext, 'store'>;

/** Entries fetched with one query. */
const PAGE_SIZE = 1000;

export function childrenNow({ store }: Context): Children {
  return {
    async *of({ id }, after) {
      for (let last = after; ; ) {
        const page = await store.listChildren(id, last, PAGE_SIZE);
        yield* page;
        last = page.at(-1)?.name;
        if (page.length < PAGE_SIZE) return;
      }
    },
    async find(_directory, path) {
      const names = namesOf(path);
      return (await store.resolve(names))[names.length];
    },
  };
}

export interface ChildrenOfMoment {
  readonly children: Children;
  /** @see DirectoryTree.pathsVersion */
  readonly pathsVersion: number;
}

/**
 * Directories where they all were at one moment; files as they are when the walk comes to their directory, which it knows
 * by its id, wherever that is by then.
 * @param depth levels below the children of `top`
 */
export async function childrenOfMoment(
  { store }: Context,
  top: DirectoryEntry,
  depth: number,
): Promise<ChildrenOfMoment> {
  const { directories, pathsVersion } = await store.readDirectories(top.id, depth + 1);
  const byParent = Map.groupBy(directories, ({ parentId }) => parentId);
  const placesIn = ({ id }: DirectoryEntry): readonly DirectoryPlace[] => byParent.get(id) ?? [];
  const now = childrenNow({ store });
  return {
    pathsVersion,
    children: {
      of(directory, after) {
        const behind = placesIn(directory).filter(({ name }) => after === undefined || compareBytes(name, after) > 0);
        const places = behind.sort((left, right) => compareBytes(left.name, right.name));
        return merge({ store }, places, now.of(directory, after));
      },
      async find(directory, path) {
        const place = placesIn(directory).find(({ name }) => path.endsWith(`/${name}`));
        return place && findAtPlace({ store }, place);
      },
    },
  };
}

/** @param places of directories, in byte order @param entries as they are now, in byte order */
async function* merge(
  context: Context,
  places: readonly DirectoryPlace[],
  entries: AsyncIterable<Entry>,
): AsyncGenerator<Entry> {
  let at = 0;
  for await (const entry of entries) {
    for (; at < places.length; at++) {
      const place = places[at];
      if (!place || compareBytes(place.name, entry.name) >= 0) break;
      const directory = await findAtPlace(context, place);
      if (directory) yield directory;
    }
    const place = places[at];
    if (entry.type === 'directory') {
      if (place?.id !== entry.id) continue;
      at += 1;
      yield entry;
    } else if (place?.name !== entry.name) {
      // Otherwise it has taken the place of a directory since.
      yield entry;
    }
  }
  for (const place of places.slice(at)) {
    const directory = await findAtPlace(context, place);
    if (directory) yield directory;
  }
}

/** A directory that stands elsewhere by now as it would be in its old place; undefined: it is gone. */
async function findAtPlace({ store }: Context, place: DirectoryPlace): Promise<DirectoryEntry | undefined> {
  const [found] = await store.describeEntries([place.id]);
  return found?.entry.type === 'directory' ? { ...found.entry, ...place } : undefined;
}
