/** `callfs server --stop-with-parent`, for programs that start instances: none of them outlives its starter, however that ends. */
import { type Command, Option } from 'commander';

export const STOP_WITH_PARENT = '--stop-with-parent';

/** After this long an instance without its parent no longer waits for running transfers. */
const GRACE_MS = 3000;

export function addStopWithParent(server: Command): void {
  server
    .addOption(new Option(STOP_WITH_PARENT, 'stop when the IPC channel to the parent process closes').hideHelp())
    .hook('preAction', (_, action) => {
      if (action.opts<{ stopWithParent?: boolean }>().stopWithParent) stopWithParent();
    });
}

/** The kernel closes the channel when the parent dies, by SIGKILL too. */
function stopWithParent(): void {
  if (!process.connected) throw new Error(`${STOP_WITH_PARENT} needs an IPC channel to a living parent process.`);
  const stop = (): boolean => process.kill(process.pid, 'SIGTERM');
  process.once('disconnect', () => {
    // The first signal asks for a clean stop; a second one finds no handler and ends the process.
    setTimeout(stop, GRACE_MS).unref();
    stop();
  });
  process.channel?.unref();
}
