/** RFC 9110 section 13, sentence by sentence; the order is that of section 13.2.2. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import {
  evaluatePreconditions,
  hasPreconditions,
  ifRangeHolds,
  type Preconditions,
  type Verdict,
} from './preconditions.ts';

const MODIFIED = 'Sun, 06 Nov 1994 08:49:37 GMT';
const EARLIER = 'Sun, 06 Nov 1994 08:49:36 GMT';
const LATER = 'Sun, 06 Nov 1994 08:49:38 GMT';
/** Half a second after the whole second that a client is told. */
const current = { etag: '"v2"', mtimeMs: Date.UTC(1994, 10, 6, 8, 49, 37, 500) };
const nothing = undefined;

type Row = readonly [conditions: Preconditions, representation: typeof current | undefined, get: Verdict, put: Verdict];

function check(rows: readonly Row[]): void {
  for (const [conditions, representation, get, put] of rows) {
    const where = `${JSON.stringify(conditions)} on ${representation ? 'something' : 'nothing'}`;
    assert.equal(evaluatePreconditions(conditions, representation, true), get, `GET with ${where}`);
    assert.equal(evaluatePreconditions(conditions, representation, false), put, `PUT with ${where}`);
  }
}

describe('If-Match', () => {
  it('fails unless one of its tags is the current one, by strong comparison', () => {
    check([
      [{ ifMatch: '"v2"' }, current, 'proceed', 'proceed'],
      [{ ifMatch: '"v1"' }, current, 'failed', 'failed'],
      [{ ifMatch: '"v1", "v2"' }, current, 'proceed', 'proceed'],
      [{ ifMatch: '"v1","v2" , "v3"' }, current, 'proceed', 'proceed'],
      [{ ifMatch: 'W/"v2"' }, current, 'failed', 'failed'],
      [{ ifMatch: 'W/"v2", "v2"' }, current, 'proceed', 'proceed'],
      [{ ifMatch: '"V2"' }, current, 'failed', 'failed'],
      [{ ifMatch: '"v2 "' }, current, 'failed', 'failed'],
      [{ ifMatch: '""' }, current, 'failed', 'failed'],
    ]);
  });

  it('with * asks for anything to be there', () => {
    check([
      [{ ifMatch: '*' }, current, 'proceed', 'proceed'],
      [{ ifMatch: ' * ' }, current, 'proceed', 'proceed'],
      [{ ifMatch: '*' }, nothing, 'failed', 'failed'],
      [{ ifMatch: '"*"' }, current, 'failed', 'failed'],
    ]);
  });

  it('fails where nothing is, and where it cannot be read', () => {
    check([
      [{ ifMatch: '"v2"' }, nothing, 'failed', 'failed'],
      [{ ifMatch: '' }, current, 'failed', 'failed'],
      [{ ifMatch: 'v2' }, current, 'failed', 'failed'],
      [{ ifMatch: '"v2' }, current, 'failed', 'failed'],
    ]);
  });

  it('takes commas in a tag for a part of it', () => {
    const odd = { ...current, etag: '"a,b"' };
    check([
      [{ ifMatch: '"x", "a,b"' }, odd, 'proceed', 'proceed'],
      [{ ifMatch: '"a", "b"' }, odd, 'failed', 'failed'],
    ]);
  });
});

describe('If-Unmodified-Since', () => {
  it('fails when the time of the last change is later', () => {
    check([
      [{ ifUnmodifiedSince: EARLIER }, current, 'failed', 'failed'],
      [{ ifUnmodifiedSince: MODIFIED }, current, 'proceed', 'proceed'],
      [{ ifUnmodifiedSince: LATER }, current, 'proceed', 'proceed'],
    ]);
  });

  it('is ignored beside If-Match, without a valid date, and where nothing is', () => {
    check([
      [{ ifMatch: '"v2"', ifUnmodifiedSince: EARLIER }, current, 'proceed', 'proceed'],
      [{ ifMatch: '"v1"', ifUnmodifiedSince: LATER }, current, 'failed', 'failed'],
      [{ ifUnmodifiedSince: 'yesterday' }, current, 'proceed', 'proceed'],
      [{ ifUnmodifiedSince: EARLIER }, nothing, 'proceed', 'proceed'],
    ]);
  });
});

describe('If-None-Match', () => {
  it('stops a read with 304 and a write with 412 when one of its tags is the current one, by weak comparison', () => {
    check([
      [{ ifNoneMatch: '"v2"' }, current, 'not-modified', 'failed'],
      [{ ifNoneMatch: 'W/"v2"' }, current, 'not-modified', 'failed'],
      [{ ifNoneMatch: '"v1", W/"v2"' }, current, 'not-modified', 'failed'],
      [{ ifNoneMatch: '"v1"' }, current, 'proceed', 'proceed'],
      [{ ifNoneMatch: '"v1", "v3"' }, current, 'proceed', 'proceed'],
      [{ ifNoneMatch: '"v2"' }, nothing, 'proceed', 'proceed'],
    ]);
  });

  it('with * asks for nothing to be there', () => {
    check([
      [{ ifNoneMatch: '*' }, current, 'not-modified', 'failed'],
      [{ ifNoneMatch: '*' }, nothing, 'proceed', 'proceed'],
    ]);
  });
});

describe('If-Modified-Since', () => {
  it('stops a read with 304 when nothing changed since, and means nothing to a write', () => {
    check([
      [{ ifModifiedSince: EARLIER }, current, 'proceed', 'proceed'],
      [{ ifModifiedSince: MODIFIED }, current, 'not-modified', 'proceed'],
      [{ ifModifiedSince: LATER }, current, 'not-modified', 'proceed'],
    ]);
  });

  it('is ignored beside If-None-Match, without a valid date, and where nothing is', () => {
    check([
      [{ ifNoneMatch: '"v1"', ifModifiedSince: LATER }, current, 'proceed', 'proceed'],
      [{ ifNoneMatch: '"v2"', ifModifiedSince: EARLIER }, current, 'not-modified', 'failed'],
      [{ ifModifiedSince: LATER }, nothing, 'proceed', 'proceed'],
    ]);
    const dates = [
      '',
      '0',
      '784111777',
      '1994-11-06T08:49:37Z',
      `${LATER}, ${LATER}`,
      'Sun, 06 Nov 1994 08:49:38 +0000',
    ];
    for (const ifModifiedSince of dates) check([[{ ifModifiedSince }, current, 'proceed', 'proceed']]);
  });
});

describe('A date', () => {
  it('is read in all three forms of RFC 9110 section 5.6.7', () => {
    check([
      [{ ifModifiedSince: 'Sunday, 06-Nov-94 08:49:37 GMT' }, current, 'not-modified', 'proceed'],
      [{ ifModifiedSince: 'Sunday, 06-Nov-94 08:49:36 GMT' }, current, 'proceed', 'proceed'],
      [{ ifModifiedSince: 'Sun Nov  6 08:49:37 1994' }, current, 'not-modified', 'proceed'],
      [{ ifModifiedSince: 'Sun Nov  6 08:49:36 1994' }, current, 'proceed', 'proceed'],
    ]);
  });

  it('is compared in whole seconds, as it was told', () => {
    const early = { ...current, mtimeMs: Date.UTC(1994, 10, 6, 8, 49, 37, 0) };
    const late = { ...current, mtimeMs: Date.UTC(1994, 10, 6, 8, 49, 37, 999) };
    for (const representation of [early, late]) {
      check([
        [{ ifModifiedSince: MODIFIED }, representation, 'not-modified', 'proceed'],
        [{ ifUnmodifiedSince: MODIFIED }, representation, 'proceed', 'proceed'],
      ]);
    }
  });
});

describe('Several conditions', () => {
  it('are checked in the order of section 13.2.2', () => {
    check([
      [{ ifMatch: '"v1"', ifNoneMatch: '"v2"' }, current, 'failed', 'failed'],
      [{ ifMatch: '"v2"', ifNoneMatch: '"v2"' }, current, 'not-modified', 'failed'],
      [{ ifMatch: '"v2"', ifNoneMatch: '"v1"' }, current, 'proceed', 'proceed'],
      [{ ifUnmodifiedSince: EARLIER, ifNoneMatch: '"v2"' }, current, 'failed', 'failed'],
      [{ ifUnmodifiedSince: MODIFIED, ifModifiedSince: MODIFIED }, current, 'not-modified', 'proceed'],
      [{ ifMatch: '*', ifNoneMatch: '*' }, nothing, 'failed', 'failed'],
    ]);
  });

  it('are none when the request has none', () => {
    check([
      [{}, current, 'proceed', 'proceed'],
      [{}, nothing, 'proceed', 'proceed'],
    ]);
    assert.equal(hasPreconditions({}), false);
    assert.equal(hasPreconditions({ ifMatch: undefined }), false);
    for (const field of ['ifMatch', 'ifNoneMatch', 'ifModifiedSince', 'ifUnmodifiedSince']) {
      assert.equal(hasPreconditions({ [field]: '' }), true);
    }
  });
});

describe('Any fields at all', () => {
  const current = { etag: '"current"', mtimeMs: Date.UTC(2026, 0, 1) };
  const piece = fc.constantFrom(
    '"current"',
    'W/',
    '"',
    '*',
    ',',
    ' ',
    'other',
    '"a,b"',
    'Thu, 01 Jan 2026 00:00:00 GMT',
  );
  const field = fc.option(
    fc.oneof(
      fc.string({ unit: 'binary' }),
      fc.array(piece, { maxLength: 6 }).map((pieces) => pieces.join('')),
    ),
    { nil: undefined },
  );

  it('are judged, and If-Match never lets pass what does not hold the tag', () => {
    fc.assert(
      fc.property(field, field, field, field, fc.boolean(), (ifMatch, ifNoneMatch, since, until, safe) => {
        const conditions = { ifMatch, ifNoneMatch, ifModifiedSince: since, ifUnmodifiedSince: until };
        const verdict = evaluatePreconditions(conditions, current, safe);
        assert(['proceed', 'not-modified', 'failed'].includes(verdict));
        if (!safe) assert.notEqual(verdict, 'not-modified');
        const holds = ifMatch === undefined || ifMatch.trim() === '*' || ifMatch.includes('"current"');
        if (!holds) assert.equal(verdict, 'failed');
        if (ifNoneMatch?.trim() === '*' && !safe) assert.equal(verdict, 'failed');
        ifRangeHolds(ifNoneMatch, current);
      }),
      { numRuns: 10_000 },
    );
  });
});
