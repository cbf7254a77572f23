-- {{text}}: a text type that compares byte for byte. {{integer}}: 64 bits. {{sequence}}: a growing primary key.
-- {{clustered}}: rows are stored in the order of the primary key, where the database can.

CREATE TABLE entries (
  id            {{text}} NOT NULL UNIQUE,
  parent_id     {{text}} NOT NULL REFERENCES entries (id),
  name          {{text}} NOT NULL,
  type          {{text}} NOT NULL CHECK (type IN ('file', 'directory')),
  mode          {{integer}} NOT NULL,
  owner         {{text}} NOT NULL,
  grp           {{text}} NOT NULL,
  uid           {{integer}} NOT NULL,
  gid           {{integer}} NOT NULL,
  mtime_ms      {{integer}} NOT NULL,
  created_at_ms {{integer}} NOT NULL,
  version       {{integer}} NOT NULL,
  instance_id   {{text}} NOT NULL,
  backend_type  {{text}} NOT NULL,
  content_id    {{text}} UNIQUE,
  size_bytes    {{integer}},
  checksum      {{text}},
  content_type  {{text}},
  storage_key   {{text}},
  storage_stamp {{text}},
  PRIMARY KEY (parent_id, name),
  CHECK ((type = 'file') = (content_id IS NOT NULL))
) {{clustered}};

-- The root is its own parent. The first instance that registers becomes its maker.
INSERT INTO entries (id, parent_id, name, type, mode, owner, grp, uid, gid, mtime_ms, created_at_ms, version, instance_id, backend_type)
VALUES ('root', 'root', '', 'directory', 1023, 'root', 'root', 0, 0, 0, 0, 1, '', 'localfs');

CREATE TABLE discarded (
  seq           {{sequence}},
  instance_id   {{text}} NOT NULL,
  backend_type  {{text}} NOT NULL,
  path          {{text}} NOT NULL,
  content_id    {{text}} NOT NULL,
  size_bytes    {{integer}} NOT NULL,
  checksum      {{text}} NOT NULL,
  storage_key   {{text}},
  storage_stamp {{text}} NOT NULL
);
CREATE INDEX discarded_by_instance ON discarded (instance_id, seq);

CREATE TABLE instances (
  id           {{text}} NOT NULL PRIMARY KEY,
  endpoint     {{text}} NOT NULL,
  public_url   {{text}} NOT NULL,
  boot_id      {{text}} NOT NULL,
  beat         {{integer}} NOT NULL,
  last_seen_ms {{integer}} NOT NULL,
  stopped      {{integer}} NOT NULL,
  version      {{text}} NOT NULL,
  process      {{text}} NOT NULL
);
