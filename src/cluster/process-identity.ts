/**
 * Names this process so that another one on the same host can tell whether it still runs: the boot of the
 * machine, the process namespace, the process id and when it started (Linux, proc(5)).
 */
import { readFileSync, readlinkSync } from 'node:fs';

export interface ProcessIdentity {
  /** What to leave for others; empty where the system does not tell. */
  readonly own: string;
  /** False: certainly not running any more. Undefined: it cannot be known from here. */
  isRunning(identity: string): boolean | undefined;
}

export function processIdentity(): ProcessIdentity {
  try {
    const host = `${readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim()}/${readlinkSync('/proc/self/ns/pid')}`;
    return {
      own: `${host}/${process.pid}/${statusOf(process.pid).start}`,
      isRunning: (identity) => isRunning(host, identity),
    };
  } catch {
    return { own: '', isRunning: () => undefined };
  }
}

function isRunning(host: string, identity: string): boolean | undefined {
  if (!identity.startsWith(`${host}/`)) return undefined;
  const [pid, startedAt] = identity.slice(host.length + 1).split('/');
  try {
    const { state, start } = statusOf(Number(pid));
    // Killed, and only waiting for its parent to take notice.
    return start === startedAt && state !== 'Z' && state !== 'X';
  } catch {
    return false;
  }
}

/** Fields 3 and 22 of `/proc/<pid>/stat`; the name in field 2 may contain anything, so count from its end. */
function statusOf(pid: number): { readonly state: string | undefined; readonly start: string | undefined } {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return { state: fields[0], start: fields[19] };
}
