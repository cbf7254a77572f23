/** Listings as text streams, a batch of entries at a time. */
import { Readable } from 'node:stream';
import type { ListedEntry } from '../engine/list-directory.ts';
import { entryJson } from './entry-representation.ts';

const BATCH_CHARACTERS = 64 * 1024;

/** Batches that are gathered to see whether they are all. */
const SHORT_BATCHES = 8;

/** One JSON array: in one piece, whose length is known, or as a stream when it is long. */
export async function jsonArray(entries: AsyncIterable<ListedEntry>): Promise<string | Readable> {
  const rest = batches(entries, { open: '[', separator: ',', close: ']\n' });
  let start = '';
  for (let count = 0; count < SHORT_BATCHES; count++) {
    const next = await rest.next();
    if (next.done) return start;
    start += next.value;
  }
  return Readable.from(continued(start, rest), { objectMode: false });
}

async function* continued(start: string, rest: AsyncGenerator<string>): AsyncGenerator<string> {
  yield start;
  yield* rest;
}

/** One JSON object a line (application/x-ndjson). */
export function jsonLines(entries: AsyncIterable<ListedEntry>): Readable {
  return textStream(entries, { open: '', separator: '\n', close: '\n' });
}

interface Frame {
  readonly open: string;
  readonly separator: string;
  readonly close: string;
}

function textStream(entries: AsyncIterable<ListedEntry>, frame: Frame): Readable {
  return Readable.from(batches(entries, frame), { objectMode: false });
}

async function* batches(
  entries: AsyncIterable<ListedEntry>,
  { open, separator, close }: Frame,
): AsyncGenerator<string> {
  let batch = open;
  let isFirst = true;
  for await (const { entry, path } of entries) {
    batch += (isFirst ? '' : separator) + JSON.stringify(entryJson(entry, path));
    isFirst = false;
    if (batch.length < BATCH_CHARACTERS) continue;
    yield batch;
    batch = '';
  }
  // An empty listing in lines is empty, not an empty line.
  yield isFirst && open === '' ? '' : batch + close;
}
