/** What a process uses, as Linux tells (proc(5)). */
import { readFileSync, writeFileSync } from 'node:fs';

/** Resident memory now (`VmRSS`) or its highest value (`VmHWM`), in bytes. */
export function residentBytes(pid: number, field: 'VmRSS' | 'VmHWM' = 'VmRSS'): number {
  const kib = new RegExp(`^${field}:\\s+(\\d+) kB`, 'm').exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1];
  return Number(kib) * 1024;
}

/** From now on `VmHWM` counts anew. */
export function forgetPeak(pid: number): void {
  writeFileSync(`/proc/${pid}/clear_refs`, '5');
}

/** Bytes that went to disks (`write_bytes`), or through read calls of any kind (`rchar`). */
export function transferredBytes(pid: number, field: 'write_bytes' | 'rchar'): number {
  return Number(new RegExp(`^${field}: (\\d+)`, 'm').exec(readFileSync(`/proc/${pid}/io`, 'utf8'))?.[1]);
}
