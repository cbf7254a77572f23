import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { parsePostgresDsn } from './postgres-dsn.ts';

suite('the connection string of PostgreSQL', () => {
  const serversOf = (dsn: string): string[] =>
    parsePostgresDsn(dsn).addresses.map(({ host, port }) => `${host} ${port}`);

  test('names one server or several, in order', () => {
    assert.deepEqual(serversOf('postgres://u:p@db:5433/x'), ['db 5433']);
    assert.deepEqual(serversOf('postgresql://u@db/x'), ['db 5432']);
    assert.deepEqual(serversOf('postgres://u@a:1,b,c:3/x?target_session_attrs=read-write'), ['a 1', 'b 5432', 'c 3']);
    assert.deepEqual(serversOf('postgres://db'), ['db 5432']);
    assert.deepEqual(serversOf('postgres:///x'), ['localhost 5432']);
  });

  test('names IPv6 addresses in brackets, and folders of Unix sockets', () => {
    assert.deepEqual(serversOf('postgres://u@[::1]:5433,[fe80::2]/x'), ['::1 5433', 'fe80::2 5432']);
    assert.deepEqual(serversOf('postgres:///x?host=/run/postgresql&port=5433'), ['/run/postgresql 5433']);
    assert.deepEqual(serversOf('postgres://u@%2Frun%2Fpostgresql/x'), ['/run/postgresql 5432']);
    assert.deepEqual(serversOf('postgres:///x?host=a,b&port=1,2'), ['a 1', 'b 2']);
  });

  test('keeps everything else', () => {
    const { rest } = parsePostgresDsn(
      'postgres://us%40er:p%2Fw@a:1,b:2/data?sslmode=require&target_session_attrs=primary',
    );
    assert.equal(rest, 'postgres://us%40er:p%2Fw@localhost/data?sslmode=require');
  });

  test('is refused with the reason and without the password', () => {
    for (const [dsn, reason] of [
      ['host=db user=u', /must begin with postgres:/],
      ['postgres://u:secret@a/x?target_session_attrs=standby', /target_session_attrs=standby is of no use/],
      ['postgres://u:secret@::1/x', /"::1" is no server/],
      ['postgres://u:secret@a:0/x', /"a:0" is no server/],
      ['postgres://u:secret@a:70000/x', /"a:70000" is no server/],
    ] as const) {
      assert.throws(
        () => parsePostgresDsn(dsn),
        (error: Error) => {
          assert.match(error.message, reason);
          assert(!error.message.includes('secret'));
          return true;
        },
      );
    }
  });
});
