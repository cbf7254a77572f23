-- An instance that is being drained takes no new files.
ALTER TABLE instances ADD COLUMN draining {{integer}} NOT NULL DEFAULT 0;
