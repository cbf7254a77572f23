-- Work that goes on after its client was answered. Finished jobs stay for a while, so that clients learn what came of them.
CREATE TABLE jobs (
  id               {{text}} NOT NULL PRIMARY KEY,
  kind             {{text}} NOT NULL,
  owner            {{text}} NOT NULL,
  path             {{text}} NOT NULL,
  instance_id      {{text}} NOT NULL,
  boot_id          {{text}} NOT NULL,
  state            {{text}} NOT NULL CHECK (state IN ('running', 'done', 'failed', 'cancelled')),
  cancel_requested {{integer}} NOT NULL,
  files_done       {{integer}} NOT NULL,
  files_total      {{integer}} NOT NULL,
  bytes_done       {{integer}} NOT NULL,
  bytes_total      {{integer}} NOT NULL,
  started_at_ms    {{integer}} NOT NULL,
  finished_at_ms   {{integer}},
  outcome          {{text}}
);
CREATE INDEX jobs_by_owner ON jobs (owner, started_at_ms);
CREATE INDEX jobs_running ON jobs (instance_id, boot_id) WHERE state = 'running';
