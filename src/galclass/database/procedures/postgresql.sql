-- galclass in the server: the original's stored procedure predictGalaxyClass and its scalar and row functions.
-- Written by `galclass db install-procedure`, galclass {{version}}. A superuser runs it once per database.
--
-- Everything runs with the rights of the caller (SECURITY INVOKER): to predict, a role needs
--     GRANT USAGE ON SCHEMA {{schema}} TO role;
--     GRANT SELECT ON {{schema}}.galaxy_models, {{schema}}.galaxy_model_aliases TO role;
--     GRANT EXECUTE ON FUNCTION {{schema}}.predict_galaxy_class, {{schema}}.predict_galaxy_group,
--         {{schema}}.predict_galaxy_json, {{schema}}.predict_galaxies TO role;
-- and SELECT on the images it names; to run the batch procedure also
--     GRANT SELECT, INSERT ON {{schema}}.galaxy_predictions TO role;
--     GRANT EXECUTE ON PROCEDURE {{schema}}.predict_galaxy_class_batch TO role;
--
-- The path of the Python packages is part of the text on purpose: a setting could be changed by the caller,
-- and PL/Python runs as the server.
-- So is the search_path; the procedure, which commits and so may have no setting, sets it in each of its transactions.
-- PARALLEL UNSAFE: asking the registry starts a subtransaction, which a parallel plan forbids even to its leader.
-- To use more cores, run several connections.
CREATE EXTENSION IF NOT EXISTS plpython3u;

CREATE OR REPLACE FUNCTION {{schema}}.predict_galaxy_class(
    img bytea, model text DEFAULT '{{model}}', frame_px int DEFAULT NULL
) RETURNS text LANGUAGE plpython3u STABLE PARALLEL UNSAFE SECURITY INVOKER
    SET search_path = pg_catalog, pg_temp AS $galclass$
{{prologue}}
return None if img is None else BackEnd(plpy, {{schema_text}}, SD, {{max_decode_s}}).answer(img, model, frame_px).predicted_class
$galclass$;

CREATE OR REPLACE FUNCTION {{schema}}.predict_galaxy_group(
    img bytea, model text DEFAULT '{{model}}', frame_px int DEFAULT NULL
) RETURNS text LANGUAGE plpython3u STABLE PARALLEL UNSAFE SECURITY INVOKER
    SET search_path = pg_catalog, pg_temp AS $galclass$
{{prologue}}
return None if img is None else BackEnd(plpy, {{schema_text}}, SD, {{max_decode_s}}).answer(img, model, frame_px).predicted_group
$galclass$;

CREATE OR REPLACE FUNCTION {{schema}}.predict_galaxy_json(
    img bytea, model text DEFAULT '{{model}}', frame_px int DEFAULT NULL
) RETURNS text LANGUAGE plpython3u STABLE PARALLEL UNSAFE SECURITY INVOKER
    SET search_path = pg_catalog, pg_temp AS $galclass$
import json
{{prologue}}
return None if img is None else json.dumps(BackEnd(plpy, {{schema_text}}, SD, {{max_decode_s}}).answer(img, model, frame_px).as_json())
$galclass$;

CREATE OR REPLACE FUNCTION {{schema}}.predict_galaxies(
    source regclass DEFAULT '{{schema_literal}}.galaxy_images', model text DEFAULT '{{model}}'
) RETURNS TABLE (
    object_id text, model_name text, model_version int, predicted_class text, predicted_group text,
    probabilities jsonb, prediction_set jsonb, flags jsonb, error text
) LANGUAGE plpython3u STABLE PARALLEL UNSAFE SECURITY INVOKER
    SET search_path = pg_catalog, pg_temp AS $galclass$
{{prologue}}
return BackEnd(plpy, {{schema_text}}, SD, {{max_decode_s}}).rows(source, model)
$galclass$;

CREATE OR REPLACE PROCEDURE {{schema}}.predict_galaxy_class_batch(
    model text DEFAULT '{{model}}', source regclass DEFAULT '{{schema_literal}}.galaxy_images',
    batch int DEFAULT 64, max_rows int DEFAULT NULL
) LANGUAGE plpython3u SECURITY INVOKER AS $galclass$
{{prologue}}
done = BackEnd(plpy, {{schema_text}}, SD, {{max_decode_s}}).batch(source, model, batch, max_rows)
plpy.info(f"{done} images scored")
$galclass$;

REVOKE ALL ON FUNCTION {{schema}}.predict_galaxy_class, {{schema}}.predict_galaxy_group,
    {{schema}}.predict_galaxy_json, {{schema}}.predict_galaxies FROM PUBLIC;

REVOKE ALL ON PROCEDURE {{schema}}.predict_galaxy_class_batch FROM PUBLIC;
