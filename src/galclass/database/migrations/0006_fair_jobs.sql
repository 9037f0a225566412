-- Jobs take turns by client, are held by one worker at a time, and count what they store.
ALTER TABLE galaxy_jobs ADD COLUMN client TEXT NOT NULL DEFAULT '';

ALTER TABLE galaxy_jobs ADD COLUMN img_bytes {bigint} NOT NULL DEFAULT 0;

ALTER TABLE galaxy_jobs ADD COLUMN turn {bigint} NOT NULL DEFAULT 0;

ALTER TABLE galaxy_jobs ADD COLUMN answered INTEGER NOT NULL DEFAULT 0;

ALTER TABLE galaxy_jobs ADD COLUMN worker TEXT;

ALTER TABLE galaxy_jobs ADD COLUMN beat_at {timestamp};

ALTER TABLE galaxy_jobs ADD COLUMN takeovers INTEGER NOT NULL DEFAULT 0;

ALTER TABLE galaxy_jobs ADD COLUMN tries INTEGER NOT NULL DEFAULT 0;

ALTER TABLE galaxy_jobs ADD COLUMN careful_to INTEGER NOT NULL DEFAULT 0;

UPDATE galaxy_jobs SET client = created_by, img_bytes = COALESCE(
    (SELECT SUM(LENGTH(i.img)) FROM galaxy_job_items i WHERE i.job_id = galaxy_jobs.id AND i.img IS NOT NULL), 0
);

CREATE TABLE galaxy_job_clients (
    client TEXT PRIMARY KEY,
    turn {bigint} NOT NULL
);

CREATE INDEX galaxy_job_clients_by_turn ON galaxy_job_clients (turn);

CREATE INDEX galaxy_jobs_by_client ON galaxy_jobs (client, state, img_bytes, total, done);

CREATE INDEX galaxy_jobs_unfinished ON galaxy_jobs (client) WHERE state IN ('open', 'queued', 'running');

CREATE INDEX galaxy_jobs_by_expiry ON galaxy_jobs (expires_at);

CREATE INDEX galaxy_jobs_with_images ON galaxy_jobs (state) WHERE img_bytes > 0;
