-- A prediction and an embedding are of an image in its frame: they go when another one takes its place. A worker that
-- still has the former bytes loses its claim, and with it the right to write.
CREATE INDEX galaxy_embeddings_by_object ON galaxy_embeddings (object_id);

CREATE TRIGGER galaxy_images_are_new AFTER INSERT ON galaxy_images
BEGIN
    UPDATE galaxy_score_queue SET claimed_by = NULL, claimed_until = NULL
    WHERE (model_name, model_version) IN (SELECT name, version FROM galaxy_models) AND object_id = NEW.object_id;
    DELETE FROM galaxy_predictions WHERE object_id = NEW.object_id;
    DELETE FROM galaxy_embeddings WHERE object_id = NEW.object_id;
END;

CREATE TRIGGER galaxy_images_are_others AFTER UPDATE OF img, frame_px ON galaxy_images
WHEN NEW.img IS NOT NULL AND (OLD.img IS NOT NEW.img OR OLD.frame_px IS NOT NEW.frame_px)
BEGIN
    UPDATE galaxy_score_queue SET claimed_by = NULL, claimed_until = NULL
    WHERE (model_name, model_version) IN (SELECT name, version FROM galaxy_models) AND object_id = NEW.object_id;
    DELETE FROM galaxy_predictions WHERE object_id = NEW.object_id;
    DELETE FROM galaxy_embeddings WHERE object_id = NEW.object_id;
    UPDATE galaxy_images SET
        sha256 = CASE WHEN OLD.img IS NOT NEW.img AND OLD.sha256 IS NEW.sha256 THEN NULL ELSE NEW.sha256 END,
        pixels_sha256 = CASE WHEN OLD.pixels_sha256 IS NEW.pixels_sha256 THEN NULL ELSE NEW.pixels_sha256 END
    WHERE object_id = NEW.object_id;
    INSERT OR IGNORE INTO galaxy_score_queue (model_name, model_version, object_id)
    SELECT name, version, NEW.object_id FROM galaxy_model_aliases WHERE alias = 'production';
END;

-- The latest label of an object counts: a time written by hand is stored in the form that sorts as time does.
CREATE TRIGGER galaxy_labels_have_utc AFTER INSERT ON galaxy_labels
WHEN NEW.labelled_at NOT GLOB '????-??-??T??:??:??.??????Z'
BEGIN
    UPDATE galaxy_labels SET labelled_at = strftime('%Y-%m-%dT%H:%M:%f000Z', NEW.labelled_at)
    WHERE object_id = NEW.object_id AND source = NEW.source AND labelled_by = NEW.labelled_by;
END;
