/** The folder that holds everything of a demo: private, and used by one demo at a time. */
import { once } from 'node:events';
import { chmod, mkdir, readdir, rm } from 'node:fs/promises';
import { connect, createServer, type Server } from 'node:net';
import { systemErrorCode } from '../core/errors.ts';
import { KEYS_FILE } from './demo-keys.ts';

/** Relative to the folder, because the path of a socket may have only some 100 bytes. */
const LOCK = 'demo.sock';

/**
 * Makes the folder if it is missing, makes it the working directory and keeps other demos out until disposed.
 * @param isTemporary it must be empty, because it is removed in the end
 * @throws Error with one line for the operator when the folder is something else or in use
 */
export async function enterDemoDirectory(directory: string, isTemporary: boolean): Promise<AsyncDisposable> {
  await mkdir(directory, { recursive: true, mode: 0o700 });
  const names = await readdir(directory);
  if (isTemporary && names.length > 0) {
    process.chdir(directory);
    if (await isHeld()) throw alreadyRuns(directory);
    const reason = 'with --s3 the folder is removed in the end';
    throw new Error(`${directory} is not empty, and ${reason}; remove it yourself or use another --dir.`);
  }
  if (names.length > 0 && !names.includes(KEYS_FILE) && !names.includes(LOCK)) {
    throw new Error(`${directory} holds something else than a demo; name an empty or a new folder with --dir.`);
  }
  await chmod(directory, 0o700);
  process.chdir(directory);
  const server = await takeLock(directory);
  return {
    [Symbol.asyncDispose]: async () => {
      server.close();
      await once(server, 'close');
    },
  };
}

/** A socket that accepts connections is a lock that ends with its holder; the file that a killed holder leaves is not. */
async function takeLock(directory: string): Promise<Server> {
  for (;;) {
    const server = createServer((socket) => socket.destroy());
    try {
      server.listen(LOCK);
      await once(server, 'listening');
      return server.unref();
    } catch (error) {
      if (systemErrorCode(error) !== 'EADDRINUSE') throw error;
    }
    if (await isHeld()) throw alreadyRuns(directory);
    await rm(LOCK, { force: true });
  }
}

function alreadyRuns(directory: string): Error {
  return new Error(`A demo is running in ${directory} already; stop it or use another --dir.`);
}

async function isHeld(): Promise<boolean> {
  const socket = connect(LOCK);
  try {
    await once(socket, 'connect');
    return true;
  } catch (error) {
    if (systemErrorCode(error) === 'ECONNREFUSED' || systemErrorCode(error) === 'ENOENT') return false;
    throw error;
  } finally {
    socket.destroy();
  }
}
