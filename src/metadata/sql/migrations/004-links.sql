-- Single-use links. A claim is one attempt to use a link; from claimed_until_ms on it may be another's.
CREATE TABLE links (
  digest           {{text}} NOT NULL PRIMARY KEY,
  entry_id         {{text}} NOT NULL,
  user_name        {{text}} NOT NULL,
  expires_at_ms    {{integer}} NOT NULL,
  claim_id         {{text}},
  claimed_until_ms {{integer}},
  used             {{integer}} NOT NULL DEFAULT 0
);
CREATE INDEX links_by_expiry ON links (expires_at_ms);
