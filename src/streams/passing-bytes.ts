/**
 * Keeps the memory of long transfers small. Every piece that arrives from a socket is a buffer outside V8's heap,
 * which V8 hardly counts: left alone it lets some 64 MiB of dead ones pile up before it collects them.
 */

/** After so many bytes have passed, the dead buffers among them are collected. */
const COLLECT_EVERY_BYTES = 8 * 1024 * 1024;

let passed = 0;

/** Told of every piece of a body that has arrived from a socket and goes on to a file or another socket. */
export function bytesPassed(count: number): void {
  passed += count;
  if (passed < COLLECT_EVERY_BYTES) return;
  passed = 0;
  // There when Node.js runs with --expose-gc, as bin/callfs runs it. Young garbage only: well under a millisecond.
  globalThis.gc?.({ type: 'minor', execution: 'sync' });
}
