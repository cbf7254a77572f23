/**
 * Brings one object to where it belongs, and takes away what does not belong there. An object under a key that others may come
 * to lie under is overwritten or removed only by who answers for the content that it is: the instance whose entry or outbox has it.
 * So two instances with the same bucket never undo what the other did, although most servers cannot make these requests conditional.
 */
import type { FileEntry } from '../../core/entry.ts';
import { faultPoint } from '../../core/fault-point.ts';
import type { LocatedEntry } from '../../core/located-entry.ts';
import type { Discarded } from '../backend.ts';
import type { ObjectLedger } from '../object-ledger.ts';
import type { S3Keys } from './s3-keys.ts';
import type { FoundObject, PutObject, S3Objects } from './s3-objects.ts';
import { WHOLE_BYTES } from './s3-reader.ts';

export interface S3PlacerOptions {
  readonly objects: S3Objects;
  readonly keys: S3Keys;
  readonly ledger: ObjectLedger;
  readonly instanceId: string;
  readonly nowMs: () => number;
  /** Told when an unknown object lay where another one belongs. */
  readonly onLostAndFound: (from: string, to: string) => void;
}

/** Something is in the way: `soon` this instance removes it, `later` perhaps another one. */
export type Placing = 'placed' | 'soon' | 'later';

/** What is in nobody's books for so long was left by an instance that died at the wrong moment. */
const FORGOTTEN_AFTER_MS = 60 * 60 * 1000;

export class S3Placer {
  readonly #options: S3PlacerOptions;

  constructor(options: S3PlacerOptions) {
    this.#options = options;
  }

  /**
   * @param bytes of the content, when they are at hand
   * @param garbage what this instance has to remove, by key: it may be written over
   */
  async place(
    { entry, path }: LocatedEntry,
    bytes: Uint8Array | undefined,
    garbage: ReadonlyMap<string, Discarded>,
  ): Promise<Placing> {
    if (entry.type !== 'file' || entry.storageKey === null) return 'placed';
    const { keys, ledger } = this.#options;
    const { contentId, storageKey: fromKey } = entry;
    const toKey = keys.naturalKey(path, contentId);
    if (fromKey === toKey) return 'placed';
    const brought = await this.#bring(entry, fromKey, toKey, bytes, garbage.get(toKey));
    if (typeof brought === 'string') return brought;
    faultPoint('settle:moved');
    // Whatever it says: what is under either key and nobody points to is in the outbox.
    await ledger.relocateContent({ contentId, fromKey, toKey, storageStamp: brought.etag });
    return 'placed';
  }

  async #bring(
    entry: FileEntry,
    from: string,
    to: string,
    bytes: Uint8Array | undefined,
    garbage: Discarded | undefined,
  ): Promise<{ readonly etag: string } | Exclude<Placing, 'placed'>> {
    const { objects } = this.#options;
    const { contentId, sizeBytes, storageStamp: etag } = entry;
    const labels = { contentId, contentType: entry.contentType ?? undefined };
    const isSmall = bytes !== undefined && bytes.length <= WHOLE_BYTES;
    const mayReplace = garbage !== undefined && (await this.#holds(to, garbage));
    if (isSmall || !mayReplace) {
      // One that is copied takes the key with an empty object first: copies cannot be made conditional.
      const body = isSmall ? bytes : Buffer.alloc(0);
      const taken = await this.#take(to, contentId, { body, exclusive: !mayReplace, ...labels });
      // It is there now, or an earlier attempt has brought it.
      if (typeof taken === 'string' || taken.sizeBytes === sizeBytes) return taken;
    }
    faultPoint('settle:before-move');
    const copied = await objects.copy({ from, to, etag, sizeBytes, ...labels });
    return copied === undefined ? 'later' : { etag: copied };
  }

  async #holds(key: string, content: Discarded): Promise<boolean> {
    const standing = await this.#options.objects.head(key);
    return standing !== undefined && isContent(standing, content);
  }

  /** @returns what lies under the key then, if it is the content or the beginning of it */
  async #take(
    key: string,
    contentId: string,
    object: PutObject,
  ): Promise<Pick<FoundObject, 'etag' | 'sizeBytes'> | Exclude<Placing, 'placed'>> {
    const { objects } = this.#options;
    const etag = await objects.put(key, object);
    if (etag !== undefined) return { etag, sizeBytes: object.body.length };
    const standing = await objects.head(key);
    if (!standing) return 'soon';
    return standing.contentId === contentId ? standing : this.#clear(key, standing);
  }

  /** Something is where a content of this instance belongs. */
  async #clear(key: string, standing: FoundObject): Promise<Exclude<Placing, 'placed'>> {
    const { objects, ledger, keys, instanceId } = this.#options;
    const [resident] = await ledger.describeKeys([key]);
    if (resident?.entry.type === 'file') {
      const { entry } = resident;
      // It will go where it belongs; perhaps that is where this content comes from.
      if (entry.instanceId !== instanceId || !isContent(standing, entry)) return 'later';
      const { contentId, storageStamp, sizeBytes } = entry;
      const toKey = keys.stagingKey(contentId);
      const labels = { contentId, contentType: entry.contentType ?? undefined };
      const stamp = await objects.copy({ from: key, to: toKey, etag: storageStamp, sizeBytes, ...labels });
      if (stamp !== undefined) await ledger.relocateContent({ contentId, fromKey: key, toKey, storageStamp: stamp });
      return 'soon';
    }
    const age = this.#options.nowMs() - standing.modifiedMs;
    if (standing.contentId !== undefined && age < FORGOTTEN_AFTER_MS) return 'later';
    await this.moveAside(key, standing);
    return 'soon';
  }

  /** @returns where it is then */
  async moveAside(key: string, { etag, sizeBytes, contentType }: FoundObject): Promise<string | undefined> {
    const { objects, keys, nowMs, onLostAndFound } = this.#options;
    const to = keys.lostKey(key, nowMs());
    const labels = { contentId: undefined, contentType };
    if ((await objects.copy({ from: key, to, etag, sizeBytes, ...labels })) === undefined) return undefined;
    // Meanwhile somebody else may have moved it aside, and the content that belongs there may have come.
    if ((await objects.head(key))?.etag !== etag) {
      await objects.remove(to);
      return undefined;
    }
    await objects.remove(key);
    onLostAndFound(key, to);
    return to;
  }

  /**
   * Removes what commits made garbage.
   * @param pointedTo the entries that point to contents of these rows now: they may lie elsewhere
   */
  async discard(row: Discarded, pointedTo: LocatedEntry | undefined): Promise<void> {
    const { objects, keys } = this.#options;
    const key = row.storageKey ?? keys.naturalKey(row.path, row.contentId);
    const entry = pointedTo?.entry.type === 'file' ? pointedTo.entry : undefined;
    if (entry?.storageKey === key) return;
    if (keys.isShared(key)) await this.#removeIf(row, key);
    else {
      await objects.remove(key);
      // It may have been on its way to its place.
      if (!entry) await this.#removeIf(row, keys.naturalKey(row.path, row.contentId));
    }
  }

  async #removeIf(content: Discarded, key: string): Promise<void> {
    const { objects } = this.#options;
    const standing = await objects.head(key);
    if (!standing) return;
    if (isContent(standing, content) || (standing.contentId === content.contentId && key !== content.storageKey)) {
      await objects.remove(key);
    } else if (key === content.storageKey && (standing.contentId ?? content.contentId) === content.contentId) {
      // Somebody has changed it outside CallFS.
      await this.moveAside(key, standing);
    }
  }
}

/** Whether an object is the content as it was stored; one that was there before CallFS does not say which it is. */
function isContent(
  { etag, contentId }: FoundObject,
  content: { readonly contentId: string; readonly storageStamp: string },
): boolean {
  return etag === content.storageStamp && (contentId ?? content.contentId) === content.contentId;
}
