-- A prediction and an embedding are of an image in its frame: they go when another one takes its place. A worker that
-- still has the former bytes loses its claim, and with it the right to write.
CREATE INDEX galaxy_embeddings_by_object ON galaxy_embeddings (object_id);

-- The claims go first: a worker that is writing is waited for, and its rows are then seen. Both functions have the
-- rights of the caller; one who may only add images has no right on what an earlier image of the id may have left.
CREATE FUNCTION galaxy_images_are_new() RETURNS trigger LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF has_table_privilege(format('%I.galaxy_score_queue', TG_TABLE_SCHEMA), 'UPDATE') THEN
        EXECUTE format(
            'UPDATE %1$I.galaxy_score_queue q SET claimed_by = NULL, claimed_until = NULL FROM added n
             WHERE q.claimed_by IS NOT NULL AND q.object_id = n.object_id
             AND (q.model_name, q.model_version) IN (SELECT name, version FROM %1$I.galaxy_models)', TG_TABLE_SCHEMA);
    END IF;
    IF has_table_privilege(format('%I.galaxy_predictions', TG_TABLE_SCHEMA), 'DELETE') THEN
        EXECUTE format(
            'DELETE FROM %1$I.galaxy_predictions p USING added n WHERE p.object_id = n.object_id', TG_TABLE_SCHEMA);
    END IF;
    IF has_table_privilege(format('%I.galaxy_embeddings', TG_TABLE_SCHEMA), 'DELETE') THEN
        EXECUTE format(
            'DELETE FROM %1$I.galaxy_embeddings e USING added n WHERE e.object_id = n.object_id', TG_TABLE_SCHEMA);
    END IF;
    RETURN NULL;
END
$$;

CREATE FUNCTION galaxy_images_are_others() RETURNS trigger LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    EXECUTE format(
        'UPDATE %1$I.galaxy_score_queue SET claimed_by = NULL, claimed_until = NULL
         WHERE (model_name, model_version) IN (SELECT name, version FROM %1$I.galaxy_models) AND object_id = $1',
        TG_TABLE_SCHEMA) USING NEW.object_id;
    EXECUTE format('DELETE FROM %1$I.galaxy_predictions WHERE object_id = $1', TG_TABLE_SCHEMA) USING NEW.object_id;
    EXECUTE format('DELETE FROM %1$I.galaxy_embeddings WHERE object_id = $1', TG_TABLE_SCHEMA) USING NEW.object_id;
    EXECUTE format(
        'INSERT INTO %1$I.galaxy_score_queue (model_name, model_version, object_id)
         SELECT name, version, $1 FROM %1$I.galaxy_model_aliases WHERE alias = ''production''
         ON CONFLICT DO NOTHING', TG_TABLE_SCHEMA) USING NEW.object_id;
    NOTIFY galaxy_images;
    RETURN NULL;
END
$$;

CREATE FUNCTION galaxy_images_have_own_hashes() RETURNS trigger LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF OLD.img IS DISTINCT FROM NEW.img AND OLD.sha256 IS NOT DISTINCT FROM NEW.sha256 THEN
        NEW.sha256 = NULL;
    END IF;
    IF OLD.pixels_sha256 IS NOT DISTINCT FROM NEW.pixels_sha256 THEN
        NEW.pixels_sha256 = NULL;
    END IF;
    RETURN NEW;
END
$$;

CREATE TRIGGER galaxy_images_are_new AFTER INSERT ON galaxy_images
    REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION galaxy_images_are_new();

CREATE TRIGGER galaxy_images_are_others AFTER UPDATE OF img, frame_px ON galaxy_images FOR EACH ROW
    WHEN (NEW.img IS NOT NULL AND (OLD.img IS DISTINCT FROM NEW.img OR OLD.frame_px IS DISTINCT FROM NEW.frame_px))
    EXECUTE FUNCTION galaxy_images_are_others();

CREATE TRIGGER galaxy_images_have_own_hashes BEFORE UPDATE OF img, frame_px ON galaxy_images FOR EACH ROW
    WHEN (OLD.img IS DISTINCT FROM NEW.img OR OLD.frame_px IS DISTINCT FROM NEW.frame_px)
    EXECUTE FUNCTION galaxy_images_have_own_hashes();
