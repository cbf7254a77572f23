-- What Repr-Digest tells of a file; files that were stored before have none.
ALTER TABLE entries ADD COLUMN sha256 {{text}};
