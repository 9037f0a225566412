-- A version stands for one model for ever, also after it was deleted: the log says for which.
ALTER TABLE galaxy_service_log ADD COLUMN model_sha256 TEXT;

UPDATE galaxy_service_log SET model_sha256 = (
    SELECT m.sha256 FROM galaxy_services s
    JOIN galaxy_models m ON m.name = s.model_name AND m.version = s.model_version
    WHERE s.name = galaxy_service_log.name AND s.version = galaxy_service_log.version
) WHERE action = 'publish';
