-- Services over code: `code` says which function, files, requirements and models answer; such a service may have no model.
ALTER TABLE galaxy_services ADD COLUMN code {json};
ALTER TABLE galaxy_services ALTER COLUMN model_name DROP NOT NULL;
ALTER TABLE galaxy_services ALTER COLUMN model_version DROP NOT NULL;
ALTER TABLE galaxy_services ADD CONSTRAINT galaxy_services_answered
    CHECK (code IS NOT NULL OR (model_name IS NOT NULL AND model_version IS NOT NULL));
