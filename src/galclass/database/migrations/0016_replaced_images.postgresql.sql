-- A prediction and an embedding are of an image in its frame: they go when another one takes its place. A worker that
-- still has the former bytes loses its claim, and with it the right to write.
CREATE INDEX galaxy_embeddings_by_object ON galaxy_embeddings (object_id);

-- The claims go first: a worker that is writing is waited for, and its rows are then seen. Both functions have the
-- rights of the caller; one who may only add images has no right on what an earlier image of the id may have left.
CREATE FUNCTION galaxy_images_are_new() RETURNS trigger LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    queue text := format('%I.galaxy_score_queue', TG_TABLE_SCHEMA);
    models text := format('%I.galaxy_models', TG_TABLE_SCHEMA);
    made text;
BEGIN
    IF has_table_privilege(queue, 'SELECT') AND has_table_privilege(queue, 'UPDATE')
        AND has_table_privilege(models, 'SELECT') THEN
        EXECUTE format(
            'UPDATE %s q SET claimed_by = NULL, claimed_until = NULL FROM added n
             WHERE q.claimed_by IS NOT NULL AND q.object_id = n.object_id
             AND (q.model_name, q.model_version) IN (SELECT name, version FROM %s)', queue, models);
    END IF;
    FOREACH made IN ARRAY ARRAY['galaxy_predictions', 'galaxy_embeddings'] LOOP
        made := format('%I.%I', TG_TABLE_SCHEMA, made);
        IF has_table_privilege(made, 'SELECT') AND has_table_privilege(made, 'DELETE') THEN
            EXECUTE format('DELETE FROM %s m USING added n WHERE m.object_id = n.object_id', made);
        END IF;
    END LOOP;
    RETURN NULL;
END
$$;

-- Rows without a claim are locked too, so that no worker claims one and reads the former image before the commit. The
-- locks are taken in the order of workers that write.
CREATE FUNCTION galaxy_images_are_others() RETURNS trigger LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    others text[] := ARRAY(
        SELECT n.object_id FROM added n JOIN former f ON f.object_id = n.object_id
        WHERE n.img IS NOT NULL AND (f.frame_px IS DISTINCT FROM n.frame_px OR f.img IS DISTINCT FROM n.img)
        ORDER BY n.object_id);
BEGIN
    IF others = '{}' THEN
        RETURN NULL;
    END IF;
    EXECUTE format(
        'SELECT 1 FROM %1$I.galaxy_score_queue
         WHERE (model_name, model_version) IN (SELECT name, version FROM %1$I.galaxy_models)
         AND object_id = ANY ($1) ORDER BY object_id COLLATE "C", model_name, model_version FOR UPDATE',
        TG_TABLE_SCHEMA) USING others;
    EXECUTE format(
        'UPDATE %1$I.galaxy_score_queue SET claimed_by = NULL, claimed_until = NULL
         WHERE claimed_by IS NOT NULL AND object_id = ANY ($1)
         AND (model_name, model_version) IN (SELECT name, version FROM %1$I.galaxy_models)', TG_TABLE_SCHEMA)
        USING others;
    EXECUTE format('DELETE FROM %1$I.galaxy_predictions WHERE object_id = ANY ($1)', TG_TABLE_SCHEMA) USING others;
    EXECUTE format('DELETE FROM %1$I.galaxy_embeddings WHERE object_id = ANY ($1)', TG_TABLE_SCHEMA) USING others;
    EXECUTE format(
        'INSERT INTO %1$I.galaxy_score_queue (model_name, model_version, object_id)
         SELECT a.name, a.version, o.object_id FROM unnest($1) AS o (object_id) CROSS JOIN %1$I.galaxy_model_aliases a
         WHERE a.alias = ''production'' ON CONFLICT DO NOTHING', TG_TABLE_SCHEMA) USING others;
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

-- Once for a statement, however many rows it changes; PostgreSQL allows no list of columns with that.
CREATE TRIGGER galaxy_images_are_others AFTER UPDATE ON galaxy_images
    REFERENCING OLD TABLE AS former NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION galaxy_images_are_others();

CREATE TRIGGER galaxy_images_have_own_hashes BEFORE UPDATE OF img, frame_px ON galaxy_images FOR EACH ROW
    WHEN (OLD.img IS DISTINCT FROM NEW.img OR OLD.frame_px IS DISTINCT FROM NEW.frame_px)
    EXECUTE FUNCTION galaxy_images_have_own_hashes();
