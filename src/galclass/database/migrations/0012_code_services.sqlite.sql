-- Services over code: `code` says which function, files, requirements and models answer; such a service may have no model.
CREATE TABLE galaxy_services_new (
    name TEXT NOT NULL,
    version TEXT NOT NULL,
    model_name TEXT,
    model_version INTEGER,
    description TEXT NOT NULL,
    created_at {timestamp} NOT NULL,
    created_by TEXT NOT NULL,
    code {json},
    PRIMARY KEY (name, version),
    FOREIGN KEY (model_name, model_version) REFERENCES galaxy_models (name, version),
    CHECK (code IS NOT NULL OR (model_name IS NOT NULL AND model_version IS NOT NULL))
);
INSERT INTO galaxy_services_new SELECT name, version, model_name, model_version, description, created_at, created_by, NULL FROM galaxy_services;
CREATE TABLE galaxy_service_aliases_kept AS SELECT name, alias, version, set_at, set_by FROM galaxy_service_aliases;
DELETE FROM galaxy_service_aliases;
DROP TABLE galaxy_services;
ALTER TABLE galaxy_services_new RENAME TO galaxy_services;
INSERT INTO galaxy_service_aliases (name, alias, version, set_at, set_by) SELECT name, alias, version, set_at, set_by FROM galaxy_service_aliases_kept;
DROP TABLE galaxy_service_aliases_kept;
