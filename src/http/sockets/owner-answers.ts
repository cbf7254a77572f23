/** The owner's answer to what a WebSocket asks for: as frames, or as the verdict on an upload. */
import type { AnswerSink, HeaderFields } from '../../cluster/exchange.ts';
import type { FrameSink } from './frames.ts';

/** An answer whose status decides where it goes. */
export class DivertedAnswer implements AnswerSink {
  readonly #choose: (status: number) => AnswerSink;
  #chosen: AnswerSink | undefined;

  constructor(choose: (status: number) => AnswerSink) {
    this.#choose = choose;
  }

  begin(status: number, headers: HeaderFields): void {
    this.#chosen = this.#choose(status);
    this.#chosen.begin(status, headers);
  }

  write(chunk: Uint8Array): boolean {
    return this.#chosen?.write(chunk) ?? true;
  }

  whenWritable(resume: () => void): void {
    this.#chosen?.whenWritable(resume);
  }

  end(): void {
    this.#chosen?.end();
  }

  abort(): void {
    this.#chosen?.abort();
  }
}

/** The bytes of a file. */
export class FramedAnswer implements AnswerSink {
  readonly #frames: FrameSink;
  readonly #onFailure: () => void;
  #sent: Promise<void> = Promise.resolve();

  /** @param onFailure told once the client takes no more */
  constructor(frames: FrameSink, onFailure: () => void) {
    this.#frames = frames;
    this.#onFailure = onFailure;
  }

  begin(): void {}

  write(chunk: Uint8Array): boolean {
    // undici repeats an empty piece for as long as its taker pauses it.
    if (chunk.length === 0) return true;
    this.#sent = this.#sent.then(() => this.#frames.write(chunk));
    this.#sent.catch(this.#onFailure);
    return false;
  }

  whenWritable(resume: () => void): void {
    this.#sent.then(resume, () => {});
  }

  end(): void {}

  /** Whoever asked is told why. */
  abort(): void {}

  /** Resolves when everything that came is sent. @throws ClientGone */
  async flush(): Promise<void> {
    await this.#sent;
    await this.#frames.flush();
  }
}

/** More of an answer is of no use to anybody. */
const MAX_VERDICT_BYTES = 64 * 1024;

/** What the owner says to an upload that the client has been asked for. */
export class Verdict implements AnswerSink {
  status = 0;
  #text = '';

  /** JSON: the entry, or what went wrong. */
  get text(): string {
    return this.#text;
  }

  begin(status: number): void {
    this.status = status;
  }

  write(chunk: Uint8Array): boolean {
    if (this.#text.length < MAX_VERDICT_BYTES) this.#text += Buffer.from(chunk).toString('utf8');
    return true;
  }

  whenWritable(resume: () => void): void {
    resume();
  }

  end(): void {}

  abort(): void {
    this.status = 0;
  }
}
