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
        ROUND((probabilities->>'Er')::numeric * 10000000) AS er,
        ROUND((probabilities->>'Ei')::numeric * 10000000) AS ei,
        ROUND((probabilities->>'Ec')::numeric * 10000000) AS ec,
        ROUND((probabilities->>'Se')::numeric * 10000000) AS se,
        ROUND((probabilities->>'Sd')::numeric * 10000000) AS sd,
        ROUND((probabilities->>'Sc')::numeric * 10000000) AS sc,
        ROUND((probabilities->>'Sb')::numeric * 10000000) AS sb,
        ROUND((probabilities->>'Sa')::numeric * 10000000) AS sa,
        ROUND((probabilities->>'SBd')::numeric * 10000000) AS sbd,
        ROUND((probabilities->>'SBc')::numeric * 10000000) AS sbc,
        ROUND((probabilities->>'SBb')::numeric * 10000000) AS sbb,
        ROUND((probabilities->>'SBa')::numeric * 10000000) AS sba,
        ROUND((probabilities->>'A')::numeric * 10000000) AS a
    ) AS units) AS branches
) WHERE jsonb_typeof(probabilities) = 'object';

UPDATE galaxy_predictions SET predicted_group = CASE
    WHEN predicted_class IN ('Er', 'Ei', 'Ec') THEN 'Elliptical'
    WHEN predicted_class = 'A' THEN 'Artifact'
    WHEN predicted_class LIKE 'SB_' THEN 'BarredSpiral'
    ELSE 'Spiral' END
WHERE predicted_class IS NOT NULL;

UPDATE galaxy_predictions SET prediction_set = prediction_set || to_jsonb(predicted_class)
WHERE predicted_class IS NOT NULL AND jsonb_array_length(prediction_set) > 0
AND NOT prediction_set @> to_jsonb(predicted_class);
