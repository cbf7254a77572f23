/** Bytes in this process's memory: for tests and for a cluster in one process. Passes the backend contract. */
import type { BackendType, Content } from '../../core/entry.ts';
import { CallFSError } from '../../core/errors.ts';
import type { VirtualPath } from '../../core/virtual-path.ts';
import type { Backend, ContentLedger, FoundContent, ObservedContent, StagedContent, StageOptions } from '../backend.ts';
import { BytesReader } from '../bytes-reader.ts';
import { ContentSums } from '../content-sums.ts';

export interface MemoryBackendOptions {
  readonly instanceId: string;
  readonly ledger: ContentLedger;
  /** What it says it is, so that an instance may have two; undefined: localfs. */
  readonly type?: BackendType;
}

const REMOVALS_AT_ONCE = 1000;

export class MemoryBackend implements Backend {
  readonly type: BackendType;
  readonly #options: MemoryBackendOptions;
  readonly #bytes = new Map<string, Uint8Array>();
  readonly #unknown = new Set<string>();
  #settling: Promise<void> = Promise.resolve();

  constructor(options: MemoryBackendOptions) {
    this.#options = options;
    this.type = options.type ?? 'localfs';
  }

  async check(): Promise<void> {}

  async assertRoom(): Promise<void> {}

  async freeBytes(): Promise<undefined> {}

  async stage(contentId: string, bytes: AsyncIterable<Uint8Array>, { maxBytes }: StageOptions): Promise<StagedContent> {
    const chunks: Uint8Array[] = [];
    let sizeBytes = 0;
    const sums = new ContentSums();
    for await (const chunk of bytes) {
      chunks.push(Uint8Array.from(chunk));
      sizeBytes += chunk.length;
      sums.update(chunk);
      if (maxBytes !== undefined && sizeBytes > maxBytes) {
        throw new CallFSError('PAYLOAD_TOO_LARGE', `This server takes at most ${maxBytes} bytes in one file.`);
      }
    }
    const whole = Buffer.concat(chunks);
    this.#bytes.set(contentId, whole);
    const content = { contentId, sizeBytes, ...sums.take(), storageKey: null, storageStamp: contentId };
    return { content, mtimeMs: Date.now(), open: async () => new BytesReader(whole) };
  }

  async stageClone(contentId: string, original: Content): Promise<StagedContent | undefined> {
    const bytes = this.#bytes.get(original.contentId);
    return bytes && this.stage(contentId, chunksOf(bytes), { maxBytes: undefined });
  }

  committed(): void {}

  async discard({ content }: StagedContent): Promise<void> {
    this.#bytes.delete(content.contentId);
  }

  reconcile({ content }: StagedContent): void {
    this.#unknown.add(content.contentId);
    this.outboxPending();
  }

  outboxPending(): void {
    // A ledger that fails now is asked again at the next occasion.
    this.#settling = this.#settling.then(() => this.#settle()).catch(() => {});
  }

  settled(): Promise<void> {
    this.outboxPending();
    return this.#settling;
  }

  async open(content: Content): Promise<FoundContent> {
    const bytes = this.#bytes.get(content.contentId);
    return bytes ? { kind: 'intact', reader: new BytesReader(bytes) } : { kind: 'missing' };
  }

  async probe(content: Content): Promise<FoundContent['kind']> {
    return this.#bytes.has(content.contentId) ? 'intact' : 'missing';
  }

  /** Nobody can change these bytes from outside. */
  async observe(_path: VirtualPath, _contentId: string): Promise<ObservedContent | undefined> {
    return undefined;
  }

  async #settle(): Promise<void> {
    const { ledger, instanceId } = this.#options;
    const unknown = [...this.#unknown];
    const known = new Set((await ledger.locateContents(unknown)).map(({ contentId }) => contentId));
    for (const contentId of unknown) {
      this.#unknown.delete(contentId);
      if (!known.has(contentId)) this.#bytes.delete(contentId);
    }
    for (;;) {
      const rows = await ledger.listOutbox(instanceId, REMOVALS_AT_ONCE);
      if (rows.length === 0) return;
      // Bytes are found by their content id, so a move changes nothing here.
      for (const row of rows) if (row.kind === 'discard') this.#bytes.delete(row.contentId);
      await ledger.forgetOutbox(rows.map(({ seq }) => seq));
    }
  }
}

async function* chunksOf(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes;
}
