/** What the S3 backend asks of the namespace; the metadata store fits. */
import type { LocatedEntry } from '../core/located-entry.ts';
import type { ContentLedger } from './backend.ts';

export interface ObjectLedger extends Pick<ContentLedger, 'listOutbox' | 'forgetOutbox'> {
  /** The entries that point to these contents now. */
  describeContents(contentIds: readonly string[]): Promise<readonly LocatedEntry[]>;
  /** The entries of instances with this bucket whose contents lie under these keys now. */
  describeKeys(keys: readonly string[]): Promise<readonly LocatedEntry[]>;
  /** The files of this instance below a directory whose contents lie in the bucket; none when it is gone. */
  filesBelow(directoryId: string): AsyncIterable<LocatedEntry>;
  /**
   * Says beforehand where this instance brings a content: it is in the outbox as garbage under that key until it is recorded there.
   * `busy`: it still has to be removed from there. `gone`: no entry points to it any more.
   */
  announcePlace(
    contentId: string,
    key: string,
  ): Promise<{ readonly kind: 'announced'; readonly seq: number } | { readonly kind: 'busy' | 'gone' }>;
  /**
   * Records that a content lies under another key; what lies under the old one is in the outbox then. False: no entry points to
   * the content any more, or to another key of it.
   */
  relocateContent(request: {
    readonly contentId: string;
    readonly fromKey: string;
    readonly toKey: string;
    readonly storageStamp: string;
    readonly announced: number;
  }): Promise<boolean>;
}

/** What whoever looks at a bucket from beside its instance asks besides. */
export interface BucketLedger extends ObjectLedger {
  /** The instances that the namespace knows, as far as they matter to this one's bucket. */
  neighbours(): Promise<Neighbours>;
  /** Records where a content is that was brought there without the namespace, or with another state of it. @see relocateContent */
  recordPlace(request: Omit<Parameters<ObjectLedger['relocateContent']>[0], 'announced'>): Promise<boolean>;
}

export interface Neighbours {
  /** All that are known, whatever bucket they have, with this one. */
  readonly known: ReadonlySet<string>;
  /** Another one with this bucket runs, or did not say that it stopped. */
  readonly mayRun: boolean;
}
