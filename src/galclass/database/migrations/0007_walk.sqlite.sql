-- Class and group follow from one walk down the tree (decision 0017): both are computed anew from the stored
-- probabilities, compared in units of their last digit, and the class is put into its prediction set.
UPDATE galaxy_predictions SET predicted_class = (
    SELECT CASE
        WHEN er + ei + ec >= se + barred + unbarred AND er + ei + ec >= a THEN
            CASE WHEN er >= ei AND er >= ec THEN 'Er' WHEN ei >= ec THEN 'Ei' ELSE 'Ec' END
        WHEN se + barred + unbarred < a THEN 'A'
        WHEN se >= barred + unbarred THEN 'Se'
        WHEN barred >= unbarred THEN CASE
            WHEN sbd >= sbc AND sbd >= sbb AND sbd >= sba THEN 'SBd'
            WHEN sbc >= sbb AND sbc >= sba THEN 'SBc' WHEN sbb >= sba THEN 'SBb' ELSE 'SBa' END
        ELSE CASE
            WHEN sd >= sc AND sd >= sb AND sd >= sa THEN 'Sd'
            WHEN sc >= sb AND sc >= sa THEN 'Sc' WHEN sb >= sa THEN 'Sb' ELSE 'Sa' END
    END FROM (SELECT *, sbd + sbc + sbb + sba AS barred, sd + sc + sb + sa AS unbarred FROM (SELECT
        CAST(ROUND(json_extract(probabilities, '$.Er') * 10000000) AS INTEGER) AS er,
        CAST(ROUND(json_extract(probabilities, '$.Ei') * 10000000) AS INTEGER) AS ei,
        CAST(ROUND(json_extract(probabilities, '$.Ec') * 10000000) AS INTEGER) AS ec,
        CAST(ROUND(json_extract(probabilities, '$.Se') * 10000000) AS INTEGER) AS se,
        CAST(ROUND(json_extract(probabilities, '$.Sd') * 10000000) AS INTEGER) AS sd,
        CAST(ROUND(json_extract(probabilities, '$.Sc') * 10000000) AS INTEGER) AS sc,
        CAST(ROUND(json_extract(probabilities, '$.Sb') * 10000000) AS INTEGER) AS sb,
        CAST(ROUND(json_extract(probabilities, '$.Sa') * 10000000) AS INTEGER) AS sa,
        CAST(ROUND(json_extract(probabilities, '$.SBd') * 10000000) AS INTEGER) AS sbd,
        CAST(ROUND(json_extract(probabilities, '$.SBc') * 10000000) AS INTEGER) AS sbc,
        CAST(ROUND(json_extract(probabilities, '$.SBb') * 10000000) AS INTEGER) AS sbb,
        CAST(ROUND(json_extract(probabilities, '$.SBa') * 10000000) AS INTEGER) AS sba,
        CAST(ROUND(json_extract(probabilities, '$.A') * 10000000) AS INTEGER) AS a
    ) AS units) AS branches
) WHERE json_type(probabilities) = 'object';

UPDATE galaxy_predictions SET predicted_group = CASE
    WHEN predicted_class IN ('Er', 'Ei', 'Ec') THEN 'Elliptical'
    WHEN predicted_class = 'A' THEN 'Artifact'
    WHEN predicted_class LIKE 'SB_' THEN 'BarredSpiral'
    ELSE 'Spiral' END
WHERE predicted_class IS NOT NULL;

UPDATE galaxy_predictions SET prediction_set = json_insert(prediction_set, '$[#]', predicted_class)
WHERE predicted_class IS NOT NULL AND json_array_length(prediction_set) > 0
AND NOT EXISTS (SELECT 1 FROM json_each(prediction_set) WHERE value = predicted_class);
