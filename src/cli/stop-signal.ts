/** Waits for the operator, also behind npm, which passes Ctrl-C on to a process that the terminal has told already. */

/** Signals that come so soon after the first are the same Ctrl-C. */
const ECHO_MS = 1000;

/** Aborts at the first SIGTERM or SIGINT. A later one, but for echoes of the first, ends the process at once. */
export function stopRequest(): AbortSignal {
  const stop = new AbortController();
  const onSignal = (): void => {
    if (stop.signal.aborted) return;
    stop.abort();
    setTimeout(() => process.off('SIGTERM', onSignal).off('SIGINT', onSignal), ECHO_MS).unref();
  };
  process.on('SIGTERM', onSignal).on('SIGINT', onSignal);
  return stop.signal;
}
