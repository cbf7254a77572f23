/** `/v1/files/ws/{path}` as a WebSocket, described. */
import * as z from 'zod';
import { SOCKETS } from '../../request-target.ts';
import type { Resource } from '../operation.ts';
import { BYTES, OWNED, PATH_PARAMETER } from '../parts.ts';
import { HANDSHAKE_FIELDS } from '../request-fields.ts';
import { FILE_RESOURCE } from './files.ts';

export const SOCKET_RESOURCE: Resource = {
  path: `${SOCKETS}/{path}`,
  tag: 'WebSockets',
  parameters: PATH_PARAMETER,
  operations: {
    get: {
      id: 'openSocket',
      summary: 'Transfer a file over a WebSocket',
      description: [
        'A request with `Upgrade: websocket`, over HTTP/1.1. What GET or PUT would refuse before the body is answered as plain HTTP instead of 101.',
        '- Download: binary messages of 64 KiB, the last one shorter, then close 1000.',
        '- Upload: all messages, also text ones, in order, each at most 4 MiB; the client ends it with a close frame of code 1000 or 1001, or without one. The server stores the file as PUT does, sends the text message `ok:<bytes>`, and answers the close frame.',
        '- What goes wrong after the 101 is told in a text message `error:{…}` before the close.',
      ].join('\n'),
      query: z.object({
        mode: z
          .enum(['download', 'upload'])
          .optional()
          .meta({ description: 'Which way the bytes go; needed when the request is to become a WebSocket.' }),
      }),
      fields: HANDSHAKE_FIELDS,
      answers: {
        101: { description: 'The connection is a WebSocket from now on.' },
        200: {
          description: 'Without `Upgrade`: the file `/ws/{path}`, as GET on `/v1/files/{path}` has it.',
          ...FILE_RESOURCE.operations.get?.answers[200],
          content: BYTES,
        },
      },
      errors: [
        ...OWNED,
        'FILE_NOT_FOUND',
        'NOT_A_DIRECTORY',
        'IS_A_DIRECTORY',
        'PRECONDITION_FAILED',
        'INSUFFICIENT_STORAGE',
      ],
      curl: '"$CALLFS/v1/files/ws/docs/report.txt?mode=download" -N --http1.1 -H "Upgrade: websocket" -H "Connection: Upgrade" -H "Sec-WebSocket-Version: 13" -H "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==" -o frames',
    },
  },
};
