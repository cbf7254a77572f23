/**
 * Keeps beside the data what the namespace says about it, in step with the commits: what the settler places and removes is
 * written before the disk forgets it, and everything else is followed by the notes that commits leave.
 */

import { ROOT_ID } from '../../core/entry.ts';
import type { LocatedEntry } from '../../core/located-entry.ts';
import type { CatalogLedger } from '../backend.ts';
import type { CatalogLine } from './catalog-line.ts';
import { readCatalog } from './catalog-reader.ts';
import { CatalogWriter, type CatalogWriterOptions } from './catalog-writer.ts';

export interface CatalogRecorderOptions extends Omit<CatalogWriterOptions, 'storeId'> {
  readonly ledger: CatalogLedger;
  /** Whether the namespace has files that must lie here. */
  readonly holdsFiles: () => Promise<boolean>;
  /** Told when something could not be written; it is repeated. */
  readonly onFailure: (error: unknown) => void;
}

/** Notes at once: bounds the memory and how long a statement takes. */
const NOTES_AT_ONCE = 512;
/** Entries that one statement looks through for a snapshot. */
const SNAPSHOT_PAGE = 1000;
const LOOK_EVERY_MS = 500;
/** A journal may grow this large before a snapshot replaces it, and so many times larger than the last snapshot. */
const JOURNAL_BYTES = 16 * 1024 * 1024;
const JOURNAL_GROWTH = 3;

export class CatalogRecorder {
  readonly #options: CatalogRecorderOptions;
  readonly #writer: CatalogWriter;
  readonly #mayForget: boolean;
  #timer: NodeJS.Timeout | undefined;
  #following: Promise<void> | undefined;
  #snapshot: Promise<void> | undefined;
  #wantsSnapshot: boolean;
  #stopped = false;

  private constructor(options: CatalogRecorderOptions, writer: CatalogWriter, mayForget: boolean) {
    this.#options = options;
    this.#writer = writer;
    this.#mayForget = mayForget;
    this.#wantsSnapshot = !writer.hadFiles;
  }

  /** Asks the namespace which one it is. */
  static async open(options: CatalogRecorderOptions): Promise<CatalogRecorder> {
    const { storeId, rebuild } = await options.ledger.identify();
    const writer = await CatalogWriter.open({ ...options, storeId });
    if (!writer.hadFiles && rebuild !== 'finished') await assertNothingLost(options, rebuild);
    return new CatalogRecorder(options, writer, rebuild === 'finished');
  }

  /** Contents that are about to leave staging, where nothing but the namespace tells what they are. */
  async recordContents(contentIds: readonly string[]): Promise<void> {
    if (contentIds.length === 0) return;
    const located = await this.#options.ledger.describeContents(contentIds);
    await this.#writer.append(located.map((each) => this.#lineOf(each)));
    this.#snapshotIfGrown();
  }

  /** Entries that something has become of, as they are now. */
  async recordEntries(entryIds: readonly string[]): Promise<void> {
    const ids = [...new Set(entryIds)].filter((id) => id !== '');
    if (ids.length === 0) return;
    const located = new Map((await this.#options.ledger.describeEntries(ids)).map((each) => [each.entry.id, each]));
    const lines = ids.map((id): CatalogLine => {
      const found = located.get(id);
      return found ? this.#lineOf(found) : { kind: 'gone', id };
    });
    await this.#writer.append(lines);
    this.#snapshotIfGrown();
  }

  #lineOf(located: LocatedEntry): CatalogLine {
    const { entry } = located;
    if (entry.instanceId === this.#options.instanceId) return { kind: 'own', ...located };
    return { kind: 'away', id: entry.id, version: entry.version };
  }

  /** Follows the notes until stopped. */
  start(): void {
    this.#timer = setInterval(() => void this.followNotes(), LOOK_EVERY_MS);
    this.#timer.unref();
    this.#snapshotIfGrown();
  }

  /** Resolves when all notes there are have been followed, or that has failed and will be repeated. */
  async followNotes(): Promise<void> {
    this.#following ??= this.#follow()
      .catch(this.#options.onFailure)
      .finally(() => {
        this.#following = undefined;
      });
    await this.#following;
  }

  async #follow(): Promise<void> {
    const { ledger } = this.#options;
    for (;;) {
      const notes = await ledger.listNotes(NOTES_AT_ONCE);
      if (notes.length > 0) {
        await this.recordEntries(notes.map(({ entryId }) => entryId));
        await ledger.forgetNotes(notes.map(({ seq }) => seq));
      }
      if (notes.length < NOTES_AT_ONCE) return;
    }
  }

  #snapshotIfGrown(): void {
    const { journalBytes, snapshotBytes } = this.#writer;
    this.#wantsSnapshot ||= journalBytes > Math.max(JOURNAL_BYTES, JOURNAL_GROWTH * snapshotBytes);
    if (!this.#wantsSnapshot || this.#snapshot || this.#stopped || this.#timer === undefined) return;
    this.#wantsSnapshot = false;
    this.#snapshot = this.#writer
      .replace(this.#pages(), this.#mayForget)
      .catch((error) => {
        this.#wantsSnapshot = true;
        if (!this.#stopped) this.#options.onFailure(error);
      })
      .finally(() => {
        this.#snapshot = undefined;
      });
  }

  async *#pages(): AsyncGenerator<CatalogLine[]> {
    for (let after: string | undefined; ; ) {
      if (this.#stopped) throw new Error('The instance stops.');
      const { entries, next } = await this.#options.ledger.listHoldings(after, SNAPSHOT_PAGE);
      yield entries.map((each) => this.#lineOf(each));
      if (next === undefined) return;
      after = next;
    }
  }

  /** Follows the last notes. */
  async stop(): Promise<void> {
    this.#stopped = true;
    clearInterval(this.#timer);
    await this.#snapshot;
    await this.#following;
    await this.followNotes();
    await this.close();
  }

  /** Without following anything. */
  close(): Promise<void> {
    return this.#writer.close();
  }
}

/**
 * A new, empty store in the place of a lost one would make everything here look like nobody's.
 * @throws Error with one line for the operator
 */
async function assertNothingLost(
  { folder, holdsFiles, instanceId }: CatalogRecorderOptions,
  rebuild: 'none' | 'begun',
): Promise<void> {
  if (rebuild === 'none' && (await holdsFiles())) return;
  const { entries } = await readCatalog(folder);
  if (!entries.some(({ entry }) => entry.id !== ROOT_ID)) return;
  throw new Error(
    rebuild === 'begun'
      ? `The rebuild of ${instanceId} did not come to its end: run callfs rebuild again.`
      : `The metadata store has nothing of ${instanceId}, but ${folder} says what it held: if the store was lost, bring the ` +
          'namespace back with callfs rebuild; to begin anew, move that folder away.',
  );
}
