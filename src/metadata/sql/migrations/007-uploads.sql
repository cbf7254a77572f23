-- Resumable uploads. Their bytes are on the disk of one instance, which alone knows how many have arrived.
CREATE TABLE uploads (
  id            {{text}} NOT NULL PRIMARY KEY,
  user_name     {{text}} NOT NULL,
  instance_id   {{text}} NOT NULL,
  length_bytes  {{integer}},
  metadata      {{text}} NOT NULL,
  concat        {{text}},
  expires_at_ms {{integer}} NOT NULL,
  finished      {{integer}} NOT NULL DEFAULT 0
);
CREATE INDEX uploads_by_expiry ON uploads (instance_id, expires_at_ms);
