/** What errors of PostgreSQL, and of the connection to it, mean to the driver. */
import postgres from 'postgres';
import { CallFSError, insufficientStorage, metadataUnavailable, systemErrorCode } from '../../core/errors.ts';

/** The connection cannot be used (any more); what was asked last may or may not have been done. */
export class ConnectionLost extends Error {
  readonly code = 'CONNECTION_LOST';

  constructor(cause: unknown) {
    super(messageOf(cause), { cause });
    this.name = 'ConnectionLost';
  }
}

/** The message, or what there is instead: refused connections to a name with several addresses have none. */
export function messageOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return error.message || (systemErrorCode(error) ?? error.name);
}

const READ_ONLY_TRANSACTION = '25006';
/** Who creates something at the same time as somebody else is told so in one of these ways. */
const ALREADY_THERE = new Set(['23505', '42710', '42P07']);
/** The transaction's id is one that the server has yet to give. */
const INVALID_PARAMETER_VALUE = '22023';

/** Codes of errors that mean: the same transaction may succeed when it is run again (SQLSTATE). */
const SERIALIZATION_FAILURE = '40001';
const DEADLOCK_DETECTED = '40P01';
/** A parent was removed, or a child created, by a transaction that this one could not see. */
const FOREIGN_KEY_VIOLATION = '23503';
const REPEATABLE = new Set([SERIALIZATION_FAILURE, DEADLOCK_DETECTED, FOREIGN_KEY_VIOLATION]);

export const isRepeatable = (error: unknown): boolean => REPEATABLE.has(systemErrorCode(error) ?? '');
export const isAlreadyThere = (error: unknown): boolean => ALREADY_THERE.has(systemErrorCode(error) ?? '');
export const isOfTheFuture = (error: unknown): boolean => systemErrorCode(error) === INVALID_PARAMETER_VALUE;

/** Whether the connection is of no use after this error: broken, ended by the server, or to a server that became a standby. */
export function endsConnection(error: unknown): boolean {
  if (error instanceof postgres.PostgresError) {
    return error.severity === 'FATAL' || error.severity === 'PANIC' || error.code === READ_ONLY_TRANSACTION;
  }
  return /^(CONNECT|E[A-Z]+$)/.test(systemErrorCode(error) ?? 'EUNKNOWN');
}

const DISK_FULL = '53100';
/** Classes of SQLSTATE that tell of the server, not of the statement. */
const UNAVAILABLE = /^(08|53|57|58|XX)/;

export function toCallFSError(error: unknown): unknown {
  if (error instanceof CallFSError) return error;
  if (error instanceof ConnectionLost || isRepeatable(error)) return metadataUnavailable(error);
  const code = systemErrorCode(error);
  if (code === DISK_FULL) return insufficientStorage(error);
  return code !== undefined && (code.length !== 5 || UNAVAILABLE.test(code)) ? metadataUnavailable(error) : error;
}
