/** The table of single-use links: each change is one statement, whose condition decides who gets the link. */
import type { ClaimLink, ForgetLinks, Link, LinkClaimed, StoredLink } from '../link-store.ts';
import { integer, text } from './rows.ts';
import type { SqlRow, SqlTransaction } from './sql-database.ts';

export function toLink(row: SqlRow): StoredLink {
  return {
    digest: text(row, 'digest'),
    entryId: text(row, 'entry_id'),
    userName: text(row, 'user_name'),
    expiresAtMs: integer(row, 'expires_at_ms'),
    used: integer(row, 'used') !== 0,
  };
}

export async function addLink(tx: SqlTransaction, link: Link): Promise<void> {
  const sql = 'INSERT INTO links (digest, entry_id, user_name, expires_at_ms) VALUES ($1, $2, $3, $4)';
  await tx.all(sql, [link.digest, link.entryId, link.userName, link.expiresAtMs]);
}

export async function claimLink(tx: SqlTransaction, request: ClaimLink): Promise<boolean> {
  const { digest, claimId, nowMs, untilMs } = request;
  const claimed = await tx.all(
    `UPDATE links SET claim_id = $2, claimed_until_ms = $4
     WHERE digest = $1 AND used = 0 AND expires_at_ms > $3
       AND (claim_id IS NULL OR claim_id = $2 OR claimed_until_ms <= $3)
     RETURNING digest`,
    [digest, claimId, nowMs, untilMs],
  );
  return claimed.length === 1;
}

export async function useLink(tx: SqlTransaction, { digest, claimId }: LinkClaimed): Promise<boolean> {
  const sql = 'UPDATE links SET used = 1 WHERE digest = $1 AND claim_id = $2 RETURNING digest';
  return (await tx.all(sql, [digest, claimId])).length === 1;
}

export async function releaseLink(tx: SqlTransaction, { digest, claimId }: LinkClaimed): Promise<void> {
  const sql =
    'UPDATE links SET claim_id = NULL, claimed_until_ms = NULL WHERE digest = $1 AND claim_id = $2 AND used = 0';
  await tx.all(sql, [digest, claimId]);
}

export async function forgetLinks(tx: SqlTransaction, { expiredBeforeMs, limit }: ForgetLinks): Promise<number> {
  const forgotten = await tx.all(
    `DELETE FROM links
     WHERE digest IN (SELECT digest FROM links WHERE expires_at_ms < $1 ORDER BY expires_at_ms LIMIT $2)
     RETURNING digest`,
    [expiredBeforeMs, limit],
  );
  return forgotten.length;
}
