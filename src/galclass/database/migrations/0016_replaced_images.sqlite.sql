-- A prediction and an embedding are of an image in its frame: they go when another one takes its place. A worker that
-- still has the former bytes loses its claim, and with it the right to write.
CREATE INDEX galaxy_embeddings_by_object ON galaxy_embeddings (object_id);

CREATE TRIGGER galaxy_images_are_new AFTER INSERT ON galaxy_images
BEGIN
    UPDATE galaxy_score_queue SET claimed_by = NULL, claimed_until = NULL
    WHERE claimed_by IS NOT NULL
    AND (model_name, model_version) IN (SELECT name, version FROM galaxy_models) AND object_id = NEW.object_id;
    DELETE FROM galaxy_predictions WHERE object_id = NEW.object_id;
    DELETE FROM galaxy_embeddings WHERE object_id = NEW.object_id;
END;

CREATE TRIGGER galaxy_images_are_others AFTER UPDATE OF img, frame_px ON galaxy_images
WHEN NEW.img IS NOT NULL AND (OLD.img IS NOT NEW.img OR OLD.frame_px IS NOT NEW.frame_px)
BEGIN
    UPDATE galaxy_score_queue SET claimed_by = NULL, claimed_until = NULL
    WHERE claimed_by IS NOT NULL
    AND (model_name, model_version) IN (SELECT name, version FROM galaxy_models) AND object_id = NEW.object_id;
    DELETE FROM galaxy_predictions WHERE object_id = NEW.object_id;
    DELETE FROM galaxy_embeddings WHERE object_id = NEW.object_id;
    UPDATE galaxy_images SET
        sha256 = CASE WHEN OLD.img IS NOT NEW.img THEN nullif(sha256, OLD.sha256) ELSE sha256 END,
        pixels_sha256 = nullif(pixels_sha256, OLD.pixels_sha256)
    WHERE object_id = NEW.object_id
    AND (pixels_sha256 = OLD.pixels_sha256 OR (OLD.img IS NOT NEW.img AND sha256 = OLD.sha256));
    INSERT INTO galaxy_score_queue (model_name, model_version, object_id)
    SELECT name, version, NEW.object_id FROM galaxy_model_aliases AS a WHERE alias = 'production' AND NOT EXISTS (
        SELECT 1 FROM galaxy_score_queue AS q
        WHERE q.model_name = a.name AND q.model_version = a.version AND q.object_id = NEW.object_id);
END;

-- NOT EXISTS, not OR IGNORE: the conflict clause of the statement that fires a trigger overrides those in it.
DROP TRIGGER galaxy_images_wait;
CREATE TRIGGER galaxy_images_wait AFTER INSERT ON galaxy_images
BEGIN
    INSERT INTO galaxy_score_queue (model_name, model_version, object_id)
    SELECT name, version, NEW.object_id FROM galaxy_model_aliases AS a WHERE alias = 'production' AND NOT EXISTS (
        SELECT 1 FROM galaxy_score_queue AS q
        WHERE q.model_name = a.name AND q.model_version = a.version AND q.object_id = NEW.object_id);
END;

-- The latest label of an object counts: a time written by hand is stored in the form that sorts as time does.
UPDATE galaxy_labels SET labelled_at = strftime('%Y-%m-%dT%H:%M:%f000Z', labelled_at)
WHERE labelled_at NOT GLOB '????-??-??T??:??:??.??????Z' AND labelled_at GLOB '????-??-??*'
AND strftime('%f', labelled_at) IS NOT NULL;

CREATE TRIGGER galaxy_labels_have_utc AFTER INSERT ON galaxy_labels
WHEN NEW.labelled_at NOT GLOB '????-??-??T??:??:??.??????Z' OR strftime('%f', NEW.labelled_at) IS NULL
BEGIN
    SELECT RAISE(ABORT, 'labelled_at is no time: write it as 2026-01-31 12:00:00, in UTC')
    WHERE NEW.labelled_at NOT GLOB '????-??-??*' OR strftime('%f', NEW.labelled_at) IS NULL;
    UPDATE galaxy_labels SET labelled_at = strftime('%Y-%m-%dT%H:%M:%f000Z', NEW.labelled_at)
    WHERE object_id = NEW.object_id AND source = NEW.source AND labelled_by = NEW.labelled_by;
END;

CREATE TRIGGER galaxy_labels_keep_utc AFTER UPDATE OF labelled_at ON galaxy_labels
WHEN NEW.labelled_at NOT GLOB '????-??-??T??:??:??.??????Z' OR strftime('%f', NEW.labelled_at) IS NULL
BEGIN
    SELECT RAISE(ABORT, 'labelled_at is no time: write it as 2026-01-31 12:00:00, in UTC')
    WHERE NEW.labelled_at NOT GLOB '????-??-??*' OR strftime('%f', NEW.labelled_at) IS NULL;
    UPDATE galaxy_labels SET labelled_at = strftime('%Y-%m-%dT%H:%M:%f000Z', NEW.labelled_at)
    WHERE object_id = NEW.object_id AND source = NEW.source AND labelled_by = NEW.labelled_by;
END;
