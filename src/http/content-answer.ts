/** Which bytes of a file an answer has and how they are framed: whole, one range, or several (RFC 9110 section 14). */
import type { FileEntry } from '../core/entry.ts';
import { CallFSError } from '../core/errors.ts';
import { ifRangeHolds } from '../core/preconditions.ts';
import { type ByteRange, parseRanges } from '../core/ranges.ts';
import { contentTypeOf, entryHeaders, representationOf } from './entry-representation.ts';

/** Text that stands before a stretch of the file's bytes. */
export interface ContentPart extends ByteRange {
  readonly before: string;
}

export interface ContentAnswer {
  readonly status: 200 | 206;
  readonly headers: Readonly<Record<string, string>>;
  readonly parts: readonly ContentPart[];
  /** Text after the last part. */
  readonly after: string;
  /** Bytes of the whole answer. */
  readonly sizeBytes: number;
}

/** @throws CallFSError RANGE_NOT_SATISFIABLE */
export function contentAnswer(entry: FileEntry, range: string | undefined, ifRange: string | undefined): ContentAnswer {
  const { sizeBytes } = entry;
  const verdict = parseRanges(ifRangeHolds(ifRange, representationOf(entry)) ? range : undefined, sizeBytes);
  switch (verdict.kind) {
    case 'whole':
      return answer(200, entry, {}, [{ before: '', start: 0, end: sizeBytes }], '');
    case 'unsatisfiable':
      throw new CallFSError('RANGE_NOT_SATISFIABLE', `The file has ${sizeBytes} bytes; none of the ranges is in it.`, {
        headers: { 'content-range': `bytes */${sizeBytes}` },
      });
    case 'parts': {
      const [only] = verdict.ranges;
      if (!only || verdict.ranges.length > 1) return multipart(entry, verdict.ranges);
      return answer(206, entry, { 'content-range': contentRange(only, sizeBytes) }, [{ before: '', ...only }], '');
    }
  }
}

/** The header fields of an answer with the whole content. */
export function wholeContentHeaders(entry: FileEntry): Readonly<Record<string, string>> {
  return contentAnswer(entry, undefined, undefined).headers;
}

/** RFC 9110 section 14.6. The boundary follows from the content, so every instance frames alike. */
function multipart(entry: FileEntry, ranges: readonly ByteRange[]): ContentAnswer {
  const boundary = `callfs-${entry.contentId}`;
  const parts = ranges.map((range) => {
    const fields = `Content-Type: ${contentTypeOf(entry)}\r\nContent-Range: ${contentRange(range, entry.sizeBytes)}`;
    return { ...range, before: `\r\n--${boundary}\r\n${fields}\r\n\r\n` };
  });
  const type = { 'content-type': `multipart/byteranges; boundary=${boundary}` };
  return answer(206, entry, type, parts, `\r\n--${boundary}--\r\n`);
}

function answer(
  status: 200 | 206,
  entry: FileEntry,
  headers: Readonly<Record<string, string>>,
  parts: readonly ContentPart[],
  after: string,
): ContentAnswer {
  const framed = parts.reduce((sum, { before, start, end }) => sum + Buffer.byteLength(before) + end - start, 0);
  const sizeBytes = framed + after.length;
  const all = {
    ...entryHeaders(entry),
    'content-type': contentTypeOf(entry),
    ...headers,
    'content-length': `${sizeBytes}`,
  };
  return { status, headers: all, parts, after, sizeBytes };
}

function contentRange({ start, end }: ByteRange, sizeBytes: number): string {
  return `bytes ${start}-${end - 1}/${sizeBytes}`;
}
