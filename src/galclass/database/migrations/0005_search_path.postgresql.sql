-- Trigger functions find our tables wherever the caller's search_path points, and no object of the same name shadows
-- them: the schema is the one of the table that fires, and the path is fixed.
CREATE OR REPLACE FUNCTION galaxy_images_enqueue() RETURNS trigger LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    EXECUTE format(
        'INSERT INTO %1$I.galaxy_score_queue (model_name, model_version, object_id)
         SELECT a.name, a.version, n.object_id FROM added n CROSS JOIN %1$I.galaxy_model_aliases a
         WHERE a.alias = ''production'' ON CONFLICT DO NOTHING', TG_TABLE_SCHEMA);
    NOTIFY galaxy_images;
    RETURN NULL;
END
$$;

ALTER FUNCTION galaxy_models_refuse_update() SET search_path = pg_catalog, pg_temp;
