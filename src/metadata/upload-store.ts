/**
 * Resumable uploads as all instances see them: whose they are, what shall become of them and which instance has the bytes.
 * Part of the metadata store. How many bytes have arrived is known on the disk of that instance alone.
 */

export interface NewUpload {
  readonly id: string;
  /** The user who began it. */
  readonly userName: string;
  /** The instance that has the bytes. */
  readonly instanceId: string;
  /** Undefined: the client will tell it later. */
  readonly lengthBytes: number | undefined;
  /** What the client said about it, as it was said; empty: nothing. */
  readonly metadata: string;
  /** What the client said of how it is put together with others, as it was said. */
  readonly concat: string | undefined;
  /** Milliseconds since the epoch. */
  readonly expiresAtMs: number;
}

export interface UploadRecord extends NewUpload {
  /** Its content was committed, once. */
  readonly finished: boolean;
}

export interface ChangeUpload extends Pick<NewUpload, 'id' | 'expiresAtMs'> {
  /** Undefined: as it was. */
  readonly lengthBytes?: number | undefined;
  /** Undefined: as it was. */
  readonly metadata?: string | undefined;
}

export interface UploadStore {
  add(upload: NewUpload): Promise<void>;

  find(id: string): Promise<UploadRecord | undefined>;

  /** False: there is none, or it is finished. */
  change(request: ChangeUpload): Promise<boolean>;

  /** Forgets one; false: there is none. */
  remove(id: string): Promise<boolean>;

  /** Those with bytes at this instance that expired before a moment, the oldest first. */
  listExpired(instanceId: string, beforeMs: number, limit: number): Promise<readonly UploadRecord[]>;
}
