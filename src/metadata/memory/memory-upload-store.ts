/** Resumable uploads in the memory of one process. */
import type { ChangeUpload, NewUpload, UploadRecord, UploadStore } from '../upload-store.ts';

export class MemoryUploadStore implements UploadStore {
  readonly #uploads = new Map<string, UploadRecord>();

  async add(upload: NewUpload): Promise<void> {
    if (this.#uploads.has(upload.id)) throw new Error(`There is an upload ${upload.id}.`);
    this.#uploads.set(upload.id, { ...upload, finished: false });
  }

  async find(id: string): Promise<UploadRecord | undefined> {
    return this.#uploads.get(id);
  }

  async change({ id, expiresAtMs, lengthBytes, metadata }: ChangeUpload): Promise<boolean> {
    const upload = this.#uploads.get(id);
    if (!upload || upload.finished) return false;
    const changed = { lengthBytes: lengthBytes ?? upload.lengthBytes, metadata: metadata ?? upload.metadata };
    this.#uploads.set(id, { ...upload, ...changed, expiresAtMs });
    return true;
  }

  async remove(id: string): Promise<boolean> {
    return this.#uploads.delete(id);
  }

  async listExpired(instanceId: string, beforeMs: number, limit: number): Promise<readonly UploadRecord[]> {
    return [...this.#uploads.values()]
      .filter((upload) => upload.instanceId === instanceId && upload.expiresAtMs < beforeMs)
      .sort((left, right) => left.expiresAtMs - right.expiresAtMs)
      .slice(0, limit);
  }

  /** Whether an upload can still become a content; true for a content that is of no upload. */
  isUnfinished(id: string | undefined): boolean {
    return id === undefined || this.#uploads.get(id)?.finished === false;
  }

  finish(id: string | undefined): void {
    const upload = id === undefined ? undefined : this.#uploads.get(id);
    if (upload) this.#uploads.set(upload.id, { ...upload, finished: true });
  }

  removeOf(instanceId: string): void {
    for (const upload of this.#uploads.values()) if (upload.instanceId === instanceId) this.#uploads.delete(upload.id);
  }
}
