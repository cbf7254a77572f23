/** Unix permission rules over entries. Pure: who asks is given, what is asked is given. */
import type { Entry } from './entry.ts';

export interface User {
  readonly name: string;
  readonly uid: number;
  readonly gid: number;
  /** Group names; the first is the group of what the user creates. */
  readonly groups: readonly string[];
  readonly admin: boolean;
}

export const READ = 4;
export const WRITE = 2;
export const EXECUTE = 1;

const STICKY = 0o1000;

/** Whether `user` has every permission in `wanted` (a sum of READ, WRITE, EXECUTE) on `entry`. */
export function permits(user: User, entry: Entry, wanted: number): boolean {
  if (user.admin) return true;
  return (classBits(user, entry) & wanted) === wanted;
}

/** Whether `user` may remove or rename `child` out of `parent`: w and x there, and the sticky bit protects others' entries. */
export function maySeverChild(user: User, parent: Entry, child: Entry): boolean {
  if (!permits(user, parent, WRITE | EXECUTE)) return false;
  if (user.admin || (parent.mode & STICKY) === 0) return true;
  return user.name === child.owner || user.name === parent.owner;
}

/** The group of what `user` creates: its first group, or one of its own as on a common Unix. */
export function primaryGroup(user: User): string {
  return user.groups[0] ?? user.name;
}

function classBits(user: User, entry: Entry): number {
  if (user.name === entry.owner) return (entry.mode >> 6) & 7;
  if (user.groups.includes(entry.group) || user.name === entry.group) return (entry.mode >> 3) & 7;
  return entry.mode & 7;
}
