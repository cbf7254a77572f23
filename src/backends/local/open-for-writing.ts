/** Which files below a folder are open for writing, as Linux tells in `/proc`. */
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';

/** Asking takes a moment on a busy host. Less than the time for which a file must have been quiet before it is asked. */
const KEPT_MS = 500;
/** Of the flags that a file was opened with: writing, or reading and writing. */
const WRITING = 0o3;

export class OpenForWriting {
  readonly #top: string;
  #found: ReadonlySet<string> = new Set();
  #lookedAtMs = Number.NEGATIVE_INFINITY;

  /** @param top absolute, without symbolic links */
  constructor(top: string) {
    this.#top = top === '/' ? '' : top;
  }

  /**
   * Paths relative to the top. Processes of other users are seen by root only, those of other hosts and of containers
   * around this one never; elsewhere than on Linux it is empty.
   */
  paths(): ReadonlySet<string> {
    const nowMs = performance.now();
    if (nowMs - this.#lookedAtMs > KEPT_MS) {
      this.#found = new Set(processes().flatMap((process) => this.#writtenBy(process)));
      this.#lookedAtMs = nowMs;
    }
    return this.#found;
  }

  #writtenBy(process: string): string[] {
    const found: string[] = [];
    for (const descriptor of unlessGone(() => readdirSync(`${process}/fd`)) ?? []) {
      const file = unlessGone(() => readlinkSync(`${process}/fd/${descriptor}`));
      if (!file?.startsWith(`${this.#top}/`)) continue;
      const flags = unlessGone(() => readFileSync(`${process}/fdinfo/${descriptor}`, 'latin1'));
      const isWriting = (Number.parseInt(/^flags:\s*([0-7]+)/m.exec(flags ?? '')?.[1] ?? '0', 8) & WRITING) !== 0;
      if (isWriting) found.push(file.slice(this.#top.length + 1));
    }
    return found;
  }
}

function processes(): string[] {
  if (process.platform !== 'linux') return [];
  return (unlessGone(() => readdirSync('/proc')) ?? [])
    .filter((name) => /^\d+$/.test(name) && name !== `${process.pid}`)
    .map((name) => `/proc/${name}`);
}

/** Processes end and close files while they are looked at, and those of others may not be looked at. */
function unlessGone<T>(look: () => T): T | undefined {
  try {
    return look();
  } catch {
    return undefined;
  }
}
