-- Models are insert-only: whoever connects with another tool is told so too.
CREATE FUNCTION galaxy_models_refuse_update() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'galaxy_models is insert-only: register a new version instead';
END
$$;

CREATE TRIGGER galaxy_models_are_immutable BEFORE UPDATE ON galaxy_models
    FOR EACH ROW EXECUTE FUNCTION galaxy_models_refuse_update();

-- New images wait for the production version of every model; one row-set and one NOTIFY per statement.
CREATE FUNCTION galaxy_images_enqueue() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO galaxy_score_queue (model_name, model_version, object_id)
    SELECT a.name, a.version, n.object_id FROM added n CROSS JOIN galaxy_model_aliases a WHERE a.alias = 'production'
    ON CONFLICT DO NOTHING;
    NOTIFY galaxy_images;
    RETURN NULL;
END
$$;

CREATE TRIGGER galaxy_images_wait AFTER INSERT ON galaxy_images
    REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION galaxy_images_enqueue();

-- JPEG and ONNX bytes do not compress: do not try.
ALTER TABLE galaxy_images ALTER COLUMN img SET STORAGE EXTERNAL;
ALTER TABLE galaxy_models ALTER COLUMN value SET STORAGE EXTERNAL;
ALTER TABLE galaxy_job_items ALTER COLUMN img SET STORAGE EXTERNAL;
