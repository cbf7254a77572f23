/** Waits for the operator. */

/** Resolves at the first SIGTERM or SIGINT; a second one ends the process at once, as without this. */
export function stopSignal(): Promise<undefined> {
  return new Promise((resolve) => {
    const stop = (): void => {
      process.off('SIGTERM', stop).off('SIGINT', stop);
      resolve(undefined);
    };
    process.on('SIGTERM', stop).on('SIGINT', stop);
  });
}
