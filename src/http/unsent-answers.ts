/**
 * Node.js takes a connection for idle as soon as its answer was handed over whole, although the last piece may still wait
 * in this process for a slow client. A server that stops would destroy it, and with it the end of a download.
 */
import type { Server, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';

/** From now on `closeIdleConnections`, which `close` calls, leaves alone what is not sent yet. */
export function keepUnsentAnswers(server: Server): void {
  const open = new Set<Socket>();
  const remember = (socket: Socket): void => {
    open.add(socket);
    socket.once('close', () => open.delete(socket));
  };
  // The latter is the one that answers are written to behind TLS.
  server.on('connection', remember).on('secureConnection', remember);
  const closeIdle = server.closeIdleConnections.bind(server);
  server.closeIdleConnections = () => {
    const sending = [...open].filter(hasUnsentAnswer);
    for (const socket of sending) socket.destroy = () => socket;
    closeIdle();
    for (const socket of sending) Reflect.deleteProperty(socket, 'destroy');
  };
}

function hasUnsentAnswer(socket: Socket): boolean {
  const { _httpMessage: answer } = socket as Socket & { _httpMessage?: ServerResponse | null };
  return answer?.writableEnded === true && !answer.writableFinished;
}
