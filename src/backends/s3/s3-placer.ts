/**
 * Brings one object to where it belongs, and takes away what does not belong there. An object under a key that others may come
 * to lie under is overwritten or removed only by who answers for the content that it is: the instance whose entry or outbox has it.
 * So two instances with the same bucket never undo what the other did, although most servers cannot make these requests conditional.
 */
import type { FileEntry } from '../../core/entry.ts';
import { backendUnavailable } from '../../core/errors.ts';
import { faultPoint } from '../../core/fault-point.ts';
import type { LocatedEntry } from '../../core/located-entry.ts';
import type { Discarded } from '../backend.ts';
import type { ObjectLedger } from '../object-ledger.ts';
import type { S3Keys } from './s3-keys.ts';
import { COPIED_AT_ONCE_BYTES, type FoundObject, type PutObject, type S3Objects } from './s3-objects.ts';
import { WHOLE_BYTES } from './s3-reader.ts';
import { freeLabel } from './s3-sums.ts';

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

type Brought =
  | { readonly kind: 'brought'; readonly etag: string }
  /** Nothing of it got there. */
  | { readonly kind: 'refused'; readonly placing: Exclude<Placing, 'placed'> }
  /** Perhaps something of it got there. */
  | { readonly kind: 'failed' };

/** What is in nobody's books for so long was left by an instance that died at the wrong moment. */
const FORGOTTEN_AFTER_MS = 60 * 60 * 1000;

export class S3Placer {
  readonly #options: S3PlacerOptions;
  readonly #turns = new Map<string, Promise<void>>();

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
    const toKey = this.#options.keys.naturalKey(path, entry.contentId);
    if (entry.storageKey === toKey) return 'placed';
    return this.#inTurn(toKey, () =>
      this.#move(entry, toKey, () => this.#bring(entry, toKey, bytes, garbage.get(toKey))),
    );
  }

  /** Whatever comes in between: what is under either key and nobody points to there is in the outbox. */
  async #move(entry: FileEntry, toKey: string, bring: () => Promise<Brought>): Promise<Placing> {
    const { ledger } = this.#options;
    const { contentId, storageKey } = entry;
    const announced = await ledger.announcePlace(contentId, toKey);
    // The second: a commit has come, and has left what it means in the outbox.
    if (announced.kind !== 'announced') return announced.kind === 'busy' ? 'later' : 'placed';
    const brought = await bring();
    faultPoint('settle:moved');
    if (brought.kind === 'refused') {
      await ledger.forgetOutbox([announced.seq]);
      return brought.placing;
    }
    if (brought.kind === 'failed') return 'later';
    const relocation = { contentId, fromKey: storageKey ?? '', toKey, storageStamp: brought.etag };
    await ledger.relocateContent({ ...relocation, announced: announced.seq });
    return 'placed';
  }

  /** What concerns one key one after the other: between the look at an object and what is done to it nobody here comes. */
  async #inTurn<T>(key: string, work: () => Promise<T>): Promise<T> {
    const before = this.#turns.get(key);
    const turn = (before ?? Promise.resolve()).then(work, work);
    const done = turn.then(
      () => {},
      () => {},
    );
    this.#turns.set(key, done);
    try {
      return await turn;
    } finally {
      if (this.#turns.get(key) === done) this.#turns.delete(key);
    }
  }

  async #bring(
    entry: FileEntry,
    to: string,
    bytes: Uint8Array | undefined,
    garbage: Discarded | undefined,
  ): Promise<Brought> {
    const { contentId } = entry;
    const labels = { contentId, contentType: entry.contentType ?? undefined };
    const isSmall = bytes !== undefined && bytes.length <= WHOLE_BYTES;
    const mayReplace = garbage !== undefined && (await this.#holds(to, garbage));
    if (isSmall || !mayReplace) {
      // One that is copied takes the key with an empty object first: copies cannot be made conditional.
      const body = isSmall ? bytes : Buffer.alloc(0);
      const taken = await this.#take(to, { body, exclusive: !mayReplace, ...labels });
      if (taken.kind === 'refused' || isSmall || entry.sizeBytes === 0) return taken;
    }
    faultPoint('settle:before-move');
    return this.#copy(entry, to);
  }

  async #copy(
    { contentId, contentType, storageKey, storageStamp, sizeBytes }: FileEntry,
    to: string,
  ): Promise<Brought> {
    const labels = { contentId, contentType: contentType ?? undefined };
    const source = { from: storageKey ?? '', etag: storageStamp, sizeBytes };
    const etag = await this.#options.objects.copy({ ...source, to, ...labels });
    return etag === undefined ? { kind: 'failed' } : { kind: 'brought', etag };
  }

  async #holds(key: string, content: Discarded): Promise<boolean> {
    const standing = await this.#options.objects.head(key);
    return standing !== undefined && isContent(standing, content);
  }

  async #take(key: string, object: PutObject): Promise<Exclude<Brought, { kind: 'failed' }>> {
    const { objects } = this.#options;
    const etag = await objects.put(key, object);
    if (etag !== undefined) return { kind: 'brought', etag };
    const standing = await objects.head(key);
    // Its own: an answer was lost, and what was done is undone by what was announced.
    if (standing?.contentId === object.contentId)
      throw backendUnavailable('The bucket is not sure whether it has the file.');
    return { kind: 'refused', placing: standing ? await this.#clear(key, standing) : 'soon' };
  }

  /** Something is where a content of this instance belongs. */
  async #clear(key: string, standing: FoundObject): Promise<Exclude<Placing, 'placed'>> {
    const { ledger, keys, instanceId, nowMs } = this.#options;
    const [resident] = await ledger.describeKeys([key]);
    if (resident?.entry.type === 'file') {
      const { entry } = resident;
      // It will go where it belongs; perhaps that is where this content comes from.
      if (entry.instanceId !== instanceId || !isContent(standing, entry)) return 'later';
      const aside = keys.stagingKey(entry.contentId);
      const moved = await this.#move(entry, aside, () => this.#copy(entry, aside));
      return moved === 'placed' ? 'soon' : moved;
    }
    const age = nowMs() - standing.modifiedMs;
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
   * Removes what commits made garbage, and what was announced and not recorded.
   * @param pointedTo the entry that points to the content now: it may lie elsewhere
   */
  async discard(row: Discarded, pointedTo: LocatedEntry | undefined): Promise<void> {
    const { objects, keys } = this.#options;
    const key = row.storageKey ?? keys.naturalKey(row.path, row.contentId);
    if (pointedTo?.entry.type === 'file' && pointedTo.entry.storageKey === key) return;
    await this.#inTurn(key, () => (keys.isShared(key) ? this.#removeIf(row, key) : objects.remove(key)));
  }

  async #removeIf(content: Discarded, key: string): Promise<void> {
    const { objects, ledger } = this.#options;
    const standing = await objects.head(key);
    const wasAnnounced = content.storageStamp === '';
    const isOurs = standing?.contentId === content.contentId;
    if (wasAnnounced && content.sizeBytes > COPIED_AT_ONCE_BYTES && (isOurs || !standing)) await this.#endCopies(key);
    if (!standing) return;
    if ((wasAnnounced && isOurs) || isContent(standing, content)) {
      await objects.remove(key);
    } else if ((standing.contentId ?? content.contentId) === content.contentId) {
      // Somebody has changed it outside CallFS.
      await this.moveAside(key, standing);
    } else if (key === content.storageKey && standing.etag === content.storageStamp) {
      // It was adopted as it is, with the label of a content that is no more.
      if ((await freeLabel(ledger, standing)) !== undefined) await objects.remove(key);
    }
  }

  /** Copies in parts that died with their process. Nobody else copies to a key without an object of its own under it. */
  async #endCopies(key: string): Promise<void> {
    const { objects } = this.#options;
    for await (const upload of objects.unfinishedUploads(key))
      if (upload.key === key) await objects.abortUpload(upload);
  }
}

/** Whether an object is the content as it was stored; one that was there before CallFS does not say which it is. */
function isContent(
  { etag, contentId }: FoundObject,
  content: { readonly contentId: string; readonly storageStamp: string },
): boolean {
  return etag === content.storageStamp && (contentId ?? content.contentId) === content.contentId;
}
