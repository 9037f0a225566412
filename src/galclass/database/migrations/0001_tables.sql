-- The registry: models are inserted, never changed; aliases move, and every move is logged.
CREATE TABLE galaxy_models (
    name TEXT NOT NULL,
    version INTEGER NOT NULL,
    value {blob} NOT NULL,
    sha256 TEXT NOT NULL,
    signature {json} NOT NULL,
    metrics {json} NOT NULL,
    card TEXT NOT NULL,
    created_at {timestamp} NOT NULL,
    created_by TEXT NOT NULL,
    PRIMARY KEY (name, version)
);

CREATE UNIQUE INDEX galaxy_models_by_sha256 ON galaxy_models (name, sha256);

CREATE TABLE galaxy_model_aliases (
    name TEXT NOT NULL,
    alias TEXT NOT NULL,
    version INTEGER NOT NULL,
    set_at {timestamp} NOT NULL,
    set_by TEXT NOT NULL,
    PRIMARY KEY (name, alias),
    FOREIGN KEY (name, version) REFERENCES galaxy_models (name, version)
);

CREATE TABLE galaxy_model_alias_log (
    id {serial},
    name TEXT NOT NULL,
    alias TEXT NOT NULL,
    old_version INTEGER,
    new_version INTEGER,
    set_at {timestamp} NOT NULL,
    set_by TEXT NOT NULL
);

-- Images, what people say about them, and what models say about them.
CREATE TABLE galaxy_images (
    object_id TEXT PRIMARY KEY,
    img {blob},
    uri TEXT,
    sha256 TEXT,
    frame_px INTEGER,
    stored_px INTEGER,
    ra {double},
    dec {double},
    added_at {timestamp} NOT NULL
);

CREATE TABLE galaxy_labels (
    object_id TEXT NOT NULL,
    source TEXT NOT NULL,
    label {json} NOT NULL,
    labelled_by TEXT NOT NULL,
    labelled_at {timestamp} NOT NULL,
    PRIMARY KEY (object_id, source, labelled_by)
);

CREATE TABLE galaxy_predictions (
    object_id TEXT NOT NULL,
    model_name TEXT NOT NULL,
    model_version INTEGER NOT NULL,
    predicted_class TEXT,
    predicted_group TEXT,
    probabilities {json},
    prediction_set {json} NOT NULL,
    flags {json} NOT NULL,
    error TEXT,
    scored_at {timestamp} NOT NULL,
    PRIMARY KEY (object_id, model_name, model_version)
);

-- Images that wait for a model version; a worker holds a row until claimed_until.
CREATE TABLE galaxy_score_queue (
    model_name TEXT NOT NULL,
    model_version INTEGER NOT NULL,
    object_id TEXT NOT NULL,
    claimed_by TEXT,
    claimed_until {timestamp},
    PRIMARY KEY (model_name, model_version, object_id)
);

-- Published services.
CREATE TABLE galaxy_services (
    name TEXT NOT NULL,
    version TEXT NOT NULL,
    model_name TEXT NOT NULL,
    model_version INTEGER NOT NULL,
    description TEXT NOT NULL,
    created_at {timestamp} NOT NULL,
    created_by TEXT NOT NULL,
    PRIMARY KEY (name, version),
    FOREIGN KEY (model_name, model_version) REFERENCES galaxy_models (name, version)
);

CREATE TABLE galaxy_service_aliases (
    name TEXT NOT NULL,
    alias TEXT NOT NULL,
    version TEXT NOT NULL,
    set_at {timestamp} NOT NULL,
    set_by TEXT NOT NULL,
    PRIMARY KEY (name, alias),
    FOREIGN KEY (name, version) REFERENCES galaxy_services (name, version)
);

CREATE TABLE galaxy_service_log (
    id {serial},
    name TEXT NOT NULL,
    action TEXT NOT NULL,
    version TEXT,
    alias TEXT,
    old_version TEXT,
    at {timestamp} NOT NULL,
    by TEXT NOT NULL
);

CREATE TABLE galaxy_jobs (
    id TEXT PRIMARY KEY,
    service_name TEXT NOT NULL,
    service_version TEXT NOT NULL,
    state TEXT NOT NULL,
    total INTEGER NOT NULL,
    done INTEGER NOT NULL,
    error TEXT,
    created_at {timestamp} NOT NULL,
    created_by TEXT NOT NULL,
    updated_at {timestamp} NOT NULL,
    expires_at {timestamp} NOT NULL
);

CREATE TABLE galaxy_job_items (
    job_id TEXT NOT NULL REFERENCES galaxy_jobs (id) ON DELETE CASCADE,
    position INTEGER NOT NULL,
    object_id TEXT NOT NULL,
    img {blob},
    record {json},
    PRIMARY KEY (job_id, position)
);

CREATE TABLE galaxy_tokens (
    id {serial},
    sha256 TEXT NOT NULL UNIQUE,
    role TEXT NOT NULL,
    label TEXT NOT NULL,
    created_at {timestamp} NOT NULL,
    revoked_at {timestamp}
);
