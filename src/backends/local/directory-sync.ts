/** Makes names in directories durable. Calls that arrive while one fsync runs share the next. */
import { constants } from 'node:fs';
import { closeFile, openFile, syncFile, unlessAbsent } from './descriptor.ts';

export class DirectorySync {
  readonly #enabled: boolean;
  readonly #running = new Map<string, Promise<void>>();
  readonly #next = new Map<string, Promise<void>>();

  constructor(enabled: boolean) {
    this.#enabled = enabled;
  }

  /** Resolves when every name that was in `directory` at the call is durable. A directory that is gone is fine. */
  sync(directory: string): Promise<void> {
    if (!this.#enabled) return Promise.resolve();
    const next = this.#next.get(directory);
    if (next !== undefined) return next;
    const running = this.#running.get(directory);
    if (running === undefined) return this.#start(directory);
    const following = running.catch(() => {}).then(() => this.#start(directory));
    this.#next.set(directory, following);
    return following;
  }

  #start(directory: string): Promise<void> {
    this.#next.delete(directory);
    const started = syncDirectory(directory).finally(() => {
      if (this.#running.get(directory) === started) this.#running.delete(directory);
    });
    this.#running.set(directory, started);
    return started;
  }
}

async function syncDirectory(directory: string): Promise<void> {
  const fd = await unlessAbsent(openFile(directory, constants.O_RDONLY | constants.O_DIRECTORY));
  if (fd === undefined) return;
  try {
    await syncFile(fd);
  } finally {
    await closeFile(fd);
  }
}
