/**
 * Looks whether certificate files have changed, and reads them again. By their state, not by events: files are replaced
 * in place, by renames, and by turning a symbolic link somewhere above them, as Kubernetes does.
 */
import { stat } from 'node:fs/promises';
import type { Config } from '../config/config.ts';
import type { Logger } from '../observability/logger.ts';
import { type Certificates, certificateFiles, readCertificates } from './certificate-files.ts';

const LOOK_EVERY_MS = 1000;

export interface CertificateWatchOptions {
  readonly config: Config;
  readonly log: Logger;
  /** Told what the files say now. What it throws is logged. */
  readonly onRenewed: (certificates: Certificates) => void;
}

export class CertificateWatch implements AsyncDisposable {
  readonly #options: CertificateWatchOptions;
  readonly #files: readonly string[];
  /** Of the files that are in use, of those last looked at, and of those last complained about. */
  #used: string | undefined;
  #seen: string | undefined;
  #reported: string | undefined;
  #timer: NodeJS.Timeout | undefined;
  #looking: Promise<void> = Promise.resolve();

  private constructor(options: CertificateWatchOptions) {
    this.#options = options;
    this.#files = certificateFiles(options.config);
  }

  /** Reads the files and keeps an eye on them until disposed. @throws Error with one line for the operator */
  static async start(
    options: CertificateWatchOptions,
  ): Promise<{ readonly watch: CertificateWatch; readonly certificates: Certificates }> {
    const watch = new CertificateWatch(options);
    // Before they are read: what changes meanwhile is found at the first look.
    watch.#used = await watch.#stamp();
    const certificates = await readCertificates(options.config);
    if (watch.#files.length > 0) watch.#schedule();
    return { watch, certificates };
  }

  #schedule(): void {
    this.#timer = setTimeout(() => {
      this.#looking = this.#look().then(() => {
        if (this.#timer) this.#schedule();
      });
    }, LOOK_EVERY_MS);
    this.#timer.unref();
  }

  async #look(): Promise<void> {
    const { config, log, onRenewed } = this.#options;
    const stamp = await this.#stamp();
    if (stamp === this.#used) return;
    try {
      onRenewed(await readCertificates(config));
      this.#used = stamp;
      log.info({ files: this.#files }, 'certificate files have changed and are used from now on');
    } catch (error) {
      // A certificate and its key are rarely replaced in the same moment: only what stays is a problem.
      if (stamp === this.#seen && stamp !== this.#reported) {
        this.#reported = stamp;
        log.error({ err: error }, 'certificate files have changed but cannot be used; the old ones stay in use');
      }
    }
    this.#seen = stamp;
  }

  async #stamp(): Promise<string> {
    const stamps = this.#files.map((file) =>
      stat(file, { bigint: true }).then(
        ({ dev, ino, size, mtimeNs, ctimeNs }) => [dev, ino, size, mtimeNs, ctimeNs].join(':'),
        () => 'unreadable',
      ),
    );
    return (await Promise.all(stamps)).join(' ');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    await this.#looking;
  }
}
