/** Every rule for paths of the wire contract. A request target comes as Node gives it: one UTF-16 unit per byte. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { CallFSError } from './errors.ts';
import {
  childPath,
  encodePath,
  MAX_PATH_BYTES,
  MAX_SEGMENT_BYTES,
  namesOf,
  parseEncodedPath,
  pathOfNames,
  ROOT_PATH,
  toVirtualPath,
} from './virtual-path.ts';

const asReceived = (text: string): string => Buffer.from(text).toString('latin1');

function parsed(encoded: string): string {
  return parseEncodedPath(encoded).path;
}

function assertRefused(encoded: string): void {
  assert.throws(() => parseEncodedPath(encoded), isInvalidPath, JSON.stringify(encoded));
}

function isInvalidPath(error: unknown): boolean {
  return error instanceof CallFSError && error.code === 'INVALID_PATH' && error.status === 400;
}

const hexOf = (byte: number): string => `%${byte.toString(16).padStart(2, '0')}`;
const percentEncodeAll = (name: string): string => [...Buffer.from(name)].map(hexOf).join('');

describe('Parsing the path of a request', () => {
  it('takes "" and any number of slashes for the root, which is a directory', () => {
    for (const encoded of ['', '/', '//', '///']) {
      assert.deepEqual(parseEncodedPath(encoded), { path: ROOT_PATH, namesDirectory: true });
    }
  });

  it('starts at the root with or without a leading slash', () => {
    assert.equal(parsed('docs/report.pdf'), '/docs/report.pdf');
    assert.equal(parsed('/docs/report.pdf'), '/docs/report.pdf');
  });

  it('collapses repeated slashes', () => {
    assert.equal(parsed('//a///b'), '/a/b');
  });

  it('takes a trailing slash for the wish for a directory', () => {
    assert.deepEqual(parseEncodedPath('/a'), { path: '/a', namesDirectory: false });
    assert.deepEqual(parseEncodedPath('/a/'), { path: '/a', namesDirectory: true });
    assert.deepEqual(parseEncodedPath('/a//'), { path: '/a', namesDirectory: true });
  });

  it('finds the same name under equivalent encodings', () => {
    assert.equal(parsed('/a%2Bb'), parsed('/a+b'));
    assert.equal(parsed('/a%2Bb'), '/a+b');
    assert.equal(parsed('/%c3%a9'), parsed('/%C3%A9'));
    assert.equal(parsed('/%C3%A9'), '/é');
    assert.equal(parsed(asReceived('/é')), '/é');
    assert.equal(parsed('/\u00c3%a9'), '/é');
    assert.equal(parsed('/%61'), '/a');
    assert.equal(parsed('/%F0%9F%98%80'), '/😀');
  });

  it('decodes exactly once', () => {
    assert.equal(parsed('/%2541'), '/%41');
    assert.equal(parsed('/%252e%252e'), '/%2e%2e');
    assert.equal(parsed('/%25'), '/%');
  });

  it('refuses bad percent-encoding', () => {
    for (const encoded of ['/%', '/a%', '/%4', '/%zz', '/%4g', '/%%41', '/% 41', '/%+1', '/%-1', '/a%2/b', '/%u0041']) {
      assertRefused(encoded);
    }
  });

  it('refuses what is not valid UTF-8', () => {
    const overlong = ['%C0%80', '%C0%AE', '%C0%AF', '%E0%80%AF', '%F0%80%80%AF'];
    const surrogates = ['%ED%A0%80', '%ED%BF%BF', '%ED%A0%BD%ED%B8%80'];
    const cut = ['%C3', '%E2%82', '%F0%9F%98', 'a%80', '%BF', '\u00e9'];
    const beyond = ['%F4%90%80%80', '%F8%88%80%80%80', '%FE', '%FF'];
    for (const bytes of [...overlong, ...surrogates, ...cut, ...beyond]) assertRefused(`/${bytes}`);
  });

  it('refuses characters that no byte can stand for', () => {
    for (const encoded of ['/\u0141', '/a\u012fb', '/é\u20ac', '/\ud800', '/\u{1f600}']) assertRefused(encoded);
  });

  it('refuses an encoded slash inside a segment', () => {
    for (const encoded of ['/a%2Fb', '/a%2fb', '/%2F', '/a/%2f']) assertRefused(encoded);
  });

  it('refuses NUL and other control characters, plain and encoded', () => {
    for (let byte = 0; byte < 0x20; byte++) {
      assertRefused(`/a${String.fromCharCode(byte)}b`);
      assertRefused(`/a${hexOf(byte)}b`);
    }
    assertRefused('/\u007f');
    assertRefused('/%7F');
    assert.equal(parsed('/%20'), '/ ');
    assert.equal(parsed('/%C2%80'), '/\u0080');
  });

  it('refuses backslashes and controls of the writing direction', () => {
    assertRefused('/a\\b');
    assertRefused('/a%5Cb');
    const refused = [0x202a, 0x202b, 0x202c, 0x202d, 0x202e, 0x2066, 0x2067, 0x2068, 0x2069];
    for (const point of refused) {
      assertRefused(`/${encodeURIComponent(String.fromCodePoint(point))}`);
      assertRefused(asReceived(`/${String.fromCodePoint(point)}`));
    }
    for (const point of [0x2029, 0x202f, 0x2065, 0x206a]) {
      const character = String.fromCodePoint(point);
      assert.equal(parsed(`/${encodeURIComponent(character)}`), `/${character}`);
    }
  });

  it('refuses "." and ".." segments in any encoding, and only those', () => {
    for (const dots of ['.', '..', '%2e', '%2E', '.%2e', '%2e.', '%2E%2e']) {
      for (const encoded of [dots, `/${dots}`, `/a/${dots}`, `/${dots}/a`, `/a/${dots}/`]) assertRefused(encoded);
    }
    for (const name of ['...', '.a', '..a', 'a..', '. ', '.\u00a0']) {
      assert.equal(parsed(`/${encodeURIComponent(name)}`), `/${name}`);
    }
  });

  it('refuses a name over 255 bytes, counted in UTF-8', () => {
    assert.equal(MAX_SEGMENT_BYTES, 255);
    assert.equal(parsed(`/${'x'.repeat(255)}`).length, 256);
    assertRefused(`/${'x'.repeat(256)}`);
    assertRefused(`/a/${'x'.repeat(256)}/b`);
    assert.equal(parsed(`/${'%C3%A9'.repeat(127)}x`), `/${'é'.repeat(127)}x`);
    assertRefused(`/${'%C3%A9'.repeat(128)}`);
    assert.equal(parsed(`/${'%F0%9F%98%80'.repeat(63)}`), `/${'😀'.repeat(63)}`);
    assertRefused(`/${'%F0%9F%98%80'.repeat(64)}`);
    assert.equal(parsed(`/${'%E2%82%AC'.repeat(85)}`), `/${'€'.repeat(85)}`);
    assertRefused(`/${'%E2%82%AC'.repeat(85)}x`);
  });

  it('refuses a path over 4,096 bytes, counted in UTF-8 with its slashes', () => {
    assert.equal(MAX_PATH_BYTES, 4096);
    const longest = `/${'x'.repeat(255)}`.repeat(16);
    assert.equal(parsed(longest).length, 4096);
    assert.equal(parsed(`//${longest}//`).length, 4096);
    assertRefused(`${longest}/x`);
    const wide = `/${'%C3%A9'.repeat(127)}`.repeat(16);
    assert.equal(Buffer.byteLength(parsed(wide)), 4080);
    assertRefused(`${wide}/${'x'.repeat(16)}`);
  });

  it('refuses the name .callfs at the top, in any encoding, and only there', () => {
    for (const encoded of ['/.callfs', '.callfs/', '//.callfs', '/.callfs/staging/x', '/%2Ecallfs', '/%2e%63allfs']) {
      assertRefused(encoded);
    }
    for (const encoded of ['/a/.callfs', '/.callfs2', '/.CALLFS', '/callfs', '/.callfs%20']) parseEncodedPath(encoded);
  });

  it('keeps names byte for byte: case, Unicode form and special characters', () => {
    assert.notEqual(parsed('/%C3%A9'), parsed('/e%CC%81'));
    assert.notEqual(parsed('/A'), parsed('/a'));
    assert.equal(parsed('/%EF%BB%BFa'), '/\ufeffa');
    for (const name of ['_', '%', '*', '?', '[', '#', '&', '+', ';', ' ', "'", '"', '~', '\u200b']) {
      assert.equal(parsed(`/${percentEncodeAll(name)}`), `/${name}`);
    }
  });

  it('says what is wrong', () => {
    for (const [encoded, problem] of [
      ['/%zz', /"%"/],
      ['/%ff', /UTF-8/],
      ['/a%2Fb', /slash/],
      ['/%00', /control/],
      ['/..', /"\.\."/],
      [`/${'x'.repeat(256)}`, /255 bytes/],
      ['/x'.repeat(2049), /4096 bytes/],
      ['/.callfs', /reserved/],
    ] as const) {
      assert.throws(() => parseEncodedPath(encoded), { code: 'INVALID_PATH', message: problem });
    }
  });
});

describe('Joining names into a path', () => {
  it('holds names to the same rules as a request', () => {
    assert.equal(toVirtualPath([]), ROOT_PATH);
    assert.equal(toVirtualPath(['a', 'b c']), '/a/b c');
    for (const names of [[''], ['a', ''], ['.'], ['a', '..'], ['a/b'], ['\0'], ['\\'], ['\ud800'], ['.callfs']]) {
      assert.throws(() => toVirtualPath(names), isInvalidPath, JSON.stringify(names));
    }
  });

  it('goes from a path to its names and back', () => {
    assert.deepEqual(namesOf(ROOT_PATH), []);
    const path = toVirtualPath(['a', 'b', 'c']);
    assert.deepEqual(namesOf(path), ['a', 'b', 'c']);
    assert.equal(pathOfNames(namesOf(path)), path);
    assert.equal(pathOfNames(namesOf(path), 2), '/a/b');
    assert.equal(pathOfNames(namesOf(path), 0), ROOT_PATH);
    assert.equal(childPath(ROOT_PATH, 'a'), '/a');
    assert.equal(childPath(path, 'd'), '/a/b/c/d');
  });
});

describe('Spelling a path in a URL', () => {
  it('leaves only unreserved characters as they are', () => {
    const path = toVirtualPath(["it's (a) *new* file!", 'é?#[]@&=+$,;:%2F', '~._-']);
    const expected = '/it%27s%20%28a%29%20%2Anew%2A%20file%21/%C3%A9%3F%23%5B%5D%40%26%3D%2B%24%2C%3B%3A%252F/~._-';
    assert.equal(encodePath(path), expected);
    assert.equal(encodePath(ROOT_PATH), '/');
  });
});

describe('For any input', () => {
  const runs = { numRuns: 10_000 };
  const mischief = fc.constantFrom(
    ...['/', '//', '.', '..', '%', '%2', '%2e', '%2F', '%00', '%5c', '%c3', '%a9', '%c3%a9', '%ed%a0%80', '%e2%80%ae'],
    ...['.callfs', '%25', '\\', '\0', '\u00c3', '\u00a9', '\u00ff', '\u0100', '\ud800', 'a', 'A', '%61', '+', ' ', '?'],
  );
  const target = fc.oneof(
    fc.string({ unit: 'binary', maxLength: 40 }),
    fc.uint8Array({ maxLength: 40 }).map((bytes) => Buffer.from(bytes).toString('latin1')),
    fc.array(mischief, { maxLength: 12 }).map((parts) => parts.join('')),
  );
  const name = fc
    .oneof(
      fc.string({ unit: 'binary', minLength: 1, maxLength: 12 }),
      fc.string({ unit: 'grapheme', minLength: 1, maxLength: 12 }),
      fc
        .array(fc.constantFrom('%', '2', 'F', 'e', '.', ' ', '+', 'é', 'e\u0301', '\ufeff', '😀'), { minLength: 1 })
        .map((parts) => parts.join('')),
    )
    .filter((candidate) => isAllowed([candidate]));
  const names = fc.array(name, { maxLength: 6 }).filter(isAllowed);

  it('a request target is parsed or refused with INVALID_PATH, and nothing else', () => {
    let accepted = 0;
    fc.assert(
      fc.property(target, (encoded) => {
        const path = parsedOrRefused(encoded);
        if (path === undefined) return;
        accepted++;
        assert.match(path, /^\/(?:[^/]+(?:\/[^/]+)*)?$/u);
        assert.ok(path.isWellFormed());
        for (const segment of namesOf(path)) assert.ok(segment !== '.' && segment !== '..');
        assert.equal(parsed(encodePath(path)), path);
      }),
      runs,
    );
    assert.ok(accepted > runs.numRuns / 20, `Only ${accepted} were accepted.`);
  });

  it('a path spelled in a URL is parsed to itself', () => {
    fc.assert(
      fc.property(names, (segments) => {
        const path = toVirtualPath(segments);
        const encoded = encodePath(path);
        assert.match(encoded, /^(?:\/|[A-Za-z0-9._~-]|%[0-9A-F]{2})+$/);
        assert.deepEqual(parseEncodedPath(encoded), { path, namesDirectory: path === ROOT_PATH });
        assert.deepEqual(namesOf(path), segments);
      }),
      runs,
    );
  });

  it('every equivalent encoding of a path is the same path', () => {
    const spelling = fc.infiniteStream(fc.constantFrom('plain', 'upper', 'lower'));
    fc.assert(
      fc.property(names, spelling, fc.boolean(), (segments, spellings, doubled) => {
        const spell = (byte: number): string => {
          const { value } = spellings.next();
          // A percent sign has no plain spelling: it would start an escape.
          if (value === 'plain' && byte !== 0x25) return String.fromCharCode(byte);
          return value === 'upper' ? hexOf(byte).toUpperCase() : hexOf(byte);
        };
        const encoded = segments.map((segment) => [...Buffer.from(segment)].map(spell).join(''));
        assert.equal(parsed(`/${encoded.join(doubled ? '//' : '/')}`), toVirtualPath(segments));
      }),
      runs,
    );
  });

  it('two different paths are never spelled alike', () => {
    const spelled = new Map<string, string>();
    const remember = (segments: readonly string[]): void => {
      const path = toVirtualPath(segments);
      const encoded = encodePath(path);
      assert.equal(spelled.get(encoded) ?? path, path);
      spelled.set(encoded, path);
    };
    fc.assert(
      fc.property(names, (segments) => {
        remember(segments);
        for (const variant of [segments.map((segment) => segment.normalize('NFC')), segments.map(encodeURIComponent)]) {
          if (isAllowed(variant)) remember(variant);
        }
      }),
      runs,
    );
  });

  function isAllowed(segments: readonly string[]): boolean {
    try {
      toVirtualPath(segments);
      return true;
    } catch {
      return false;
    }
  }

  function parsedOrRefused(encoded: string): ReturnType<typeof toVirtualPath> | undefined {
    try {
      return parseEncodedPath(encoded).path;
    } catch (error) {
      assert.ok(isInvalidPath(error), String(error));
      return undefined;
    }
  }
});
