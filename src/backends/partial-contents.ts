/**
 * Contents that arrive in pieces, perhaps over days and several processes. What has arrived is kept until it is removed;
 * one piece at a time is written to each, which the caller sees to.
 *
 * Errors: as those of a backend.
 */
import type { ContentReader, StagedContent } from './backend.ts';

export interface Piece {
  /** How many bytes must be there already. */
  readonly offset: number;
  readonly bytes: AsyncIterable<Uint8Array>;
  /**
   * Told the bytes of the piece as they come, then asked; whatever it throws, and a source that breaks off, takes the whole
   * piece back, also when the process dies meanwhile. Undefined: what has arrived stays, however the piece ends.
   */
  readonly check?: PieceCheck | undefined;
}

export interface PieceCheck {
  update(chunk: Uint8Array): void;
  /** @throws CallFSError when the piece is not what it was said to be */
  verify(): void;
}

export interface PartialContents {
  /** Bytes that have durably arrived; 0 when there is nothing. */
  sizeOf(id: string): Promise<number>;

  /** Adds a piece; resolves to the bytes that are durable then. Rejects as its source does, when what came is durable. */
  append(id: string, piece: Piece): Promise<number>;

  /** A complete content as a staged one, whose bytes are not copied; it stays here as well. */
  stage(id: string, contentId: string): Promise<StagedContent>;

  /** What has arrived; rejects when there is nothing. */
  open(id: string): Promise<ContentReader>;

  /** Gives the bytes up. Nothing there is not an error. */
  remove(id: string): Promise<void>;

  /** The ids of all that is there, and when its last byte arrived, in milliseconds since the epoch. */
  list(): Promise<readonly { readonly id: string; readonly mtimeMs: number }[]>;
}
