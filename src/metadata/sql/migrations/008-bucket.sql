-- Names the bucket, and the place in it, that an instance keeps files in; instances with the same one share it. Empty: none.
ALTER TABLE instances ADD COLUMN bucket_id {{text}} NOT NULL DEFAULT '';

-- What there is to do for one backend must not hide behind what another one cannot do now.
UPDATE outbox SET backend_type = 'localfs' WHERE backend_type IS NULL;
CREATE INDEX outbox_by_backend ON outbox (instance_id, backend_type, seq);
CREATE INDEX outbox_by_content ON outbox (content_id);

-- What lies under a key of a bucket.
CREATE INDEX entries_by_storage_key ON entries (storage_key) WHERE storage_key IS NOT NULL;
