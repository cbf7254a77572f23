-- Bytes may move to another instance and stay the same version of the file.
ALTER TABLE entries ADD COLUMN etag {{text}};
UPDATE entries SET etag = content_id;

-- Walks over directories alone must not read the files beside them.
CREATE INDEX entries_directories ON entries (parent_id) WHERE type = 'directory';

-- What a commit left for an instance to do on its disk, in the order of the commits. A move of a directory has no content.
CREATE TABLE outbox (
  seq           {{sequence}},
  instance_id   {{text}} NOT NULL,
  kind          {{text}} NOT NULL CHECK (kind IN ('discard', 'move')),
  entry_id      {{text}} NOT NULL,
  path          {{text}} NOT NULL,
  to_path       {{text}},
  backend_type  {{text}},
  content_id    {{text}},
  size_bytes    {{integer}},
  checksum      {{text}},
  storage_key   {{text}},
  storage_stamp {{text}}
);
CREATE INDEX outbox_by_instance ON outbox (instance_id, seq);
INSERT INTO outbox (instance_id, kind, entry_id, path, backend_type, content_id, size_bytes, checksum, storage_key, storage_stamp)
  SELECT instance_id, 'discard', '', path, backend_type, content_id, size_bytes, checksum, storage_key, storage_stamp
  FROM discarded ORDER BY seq;
DROP TABLE discarded;

-- Entries that changed without leaving their instance anything else to do: it has yet to write them into its catalog.
CREATE TABLE notes (
  seq         {{sequence}},
  instance_id {{text}} NOT NULL,
  entry_id    {{text}} NOT NULL
);
CREATE INDEX notes_by_instance ON notes (instance_id, seq);

-- Tells this store from others that an instance's catalog was written for. One row at most.
CREATE TABLE store_identity (
  only_row {{integer}} NOT NULL PRIMARY KEY CHECK (only_row = 1),
  store_id {{text}} NOT NULL
);

-- Instances whose entries were taken from their catalogs into this store.
CREATE TABLE rebuilds (
  instance_id {{text}} NOT NULL PRIMARY KEY,
  finished    {{integer}} NOT NULL
);

-- Directories that a rebuild found another one in the place of: what belongs into them goes there.
CREATE TABLE merged_directories (
  id      {{text}} NOT NULL PRIMARY KEY,
  into_id {{text}} NOT NULL
);
