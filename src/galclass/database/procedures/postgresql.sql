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
--
-- Run it again after an update, in one transaction: owners and grants are kept, and if anything fails, what was there
-- stands as before.
CREATE EXTENSION IF NOT EXISTS plpython3u;

CREATE TEMP TABLE galclass_before ON COMMIT DROP AS
SELECT p.oid::pg_catalog.regprocedure::text AS routine, p.proowner::pg_catalog.regrole::text AS owner,
    a.grantee, a.is_grantable
FROM pg_catalog.pg_proc p LEFT JOIN LATERAL pg_catalog.aclexplode(p.proacl) a ON a.grantee <> p.proowner
WHERE p.pronamespace = '{{schema_literal}}'::pg_catalog.regnamespace AND p.prolang = (
    SELECT oid FROM pg_catalog.pg_language WHERE lanname = 'plpython3u')
AND p.proname IN ('predict_galaxy_class', 'predict_galaxy_group', 'predict_galaxy_json', 'predict_galaxies',
    'predict_galaxy_class_batch');

-- Only this one's result differs between versions; the others are replaced as they stand.
DROP FUNCTION IF EXISTS {{schema}}.predict_galaxies(regclass, text);

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
    probabilities jsonb, prediction_set jsonb, flags jsonb, error text, vote_fractions jsonb, raw_vote_fractions jsonb
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

DO $galclass$
DECLARE
    one record;
BEGIN
    FOR one IN SELECT * FROM pg_temp.galclass_before LOOP
        EXECUTE pg_catalog.format('ALTER ROUTINE %s OWNER TO %s', one.routine, one.owner);
        IF one.grantee IS NOT NULL THEN
            EXECUTE pg_catalog.format('GRANT EXECUTE ON ROUTINE %s TO %s%s', one.routine,
                CASE WHEN one.grantee = 0 THEN 'PUBLIC' ELSE one.grantee::pg_catalog.regrole::text END,
                CASE WHEN one.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END);
        END IF;
    END LOOP;
END
$galclass$;

DROP TABLE pg_temp.galclass_before;
