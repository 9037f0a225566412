-- Models are insert-only: whoever has the file open with another tool is told so too.
CREATE TRIGGER galaxy_models_are_immutable BEFORE UPDATE ON galaxy_models
BEGIN
    SELECT RAISE(ABORT, 'galaxy_models is insert-only: register a new version instead');
END;

-- New images wait for the production version of every model.
CREATE TRIGGER galaxy_images_wait AFTER INSERT ON galaxy_images
BEGIN
    INSERT OR IGNORE INTO galaxy_score_queue (model_name, model_version, object_id)
    SELECT name, version, NEW.object_id FROM galaxy_model_aliases WHERE alias = 'production';
END;
