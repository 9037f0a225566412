-- GENERATED, NOT RUN AGAINST A SERVER: no engine that speaks this dialect was at hand when it was written.
-- It was parsed by a T-SQL grammar, and its Python was run on a data frame.
-- galclass in SQL Server Machine Learning Services (2022 or later, Python): galclass VERSION.
-- Needs, all of it:
--   1. Python 3.11 or later in the instance, as galclass does. Microsoft's own Python extension is built for 3.10 (SQL Server 2022; 3.7
--      in 2019), which does NOT run it: build the open source Python language extension (mssql-language-extensions) for 3.11,
--      register it with CREATE EXTERNAL LANGUAGE, and name that language below in place of Python.
--   2. The packages galclass and pandas in that Python (sqlmlutils or pip).
--   3. sp_configure 'external scripts enabled', 1, and EXECUTE ANY EXTERNAL SCRIPT for the callers.
-- Where this cannot be had, --dialect tsql-rest needs no Python in the instance.
SET ANSI_NULLS ON;
SET QUOTED_IDENTIFIER ON;
GO

IF OBJECT_ID(N'[dbo].galaxyImgData', N'U') IS NULL
CREATE TABLE [dbo].galaxyImgData (
    object_id NVARCHAR(64) NOT NULL,
    img VARBINARY(MAX) NULL,
    frame_px INT NULL,
    CONSTRAINT PK_galaxyImgData PRIMARY KEY (object_id)
);
GO

IF OBJECT_ID(N'[dbo].galaxyModels', N'U') IS NULL
CREATE TABLE [dbo].galaxyModels (
    id NVARCHAR(100) NOT NULL,
    value VARBINARY(MAX) NOT NULL,
    sha256 CHAR(64) NOT NULL,
    created_at DATETIME2 NOT NULL DEFAULT SYSUTCDATETIME(),
    CONSTRAINT PK_galaxyModels PRIMARY KEY (id)
);
GO

-- @InputData: a query that gives object_id, img, frame_px; @InputParameter: the model's bytes.
-- Both have the original's defaults and can be overridden at the call. @InputData is run with the rights of the
-- caller by sp_execute_external_script: grant EXECUTE only to those who may read what they name.
CREATE OR ALTER PROCEDURE [dbo].predictGalaxyClass
    @InputData NVARCHAR(MAX) = N'SELECT object_id, img, frame_px FROM [dbo].galaxyImgData',
    @InputParameter VARBINARY(MAX) = NULL,
    @ModelId NVARCHAR(100) = N'galaxy@production'
AS
BEGIN
    SET NOCOUNT ON;
    IF @InputParameter IS NULL
        SELECT @InputParameter = value FROM [dbo].galaxyModels WHERE id = @ModelId;
    IF @InputParameter IS NULL
        THROW 50001, N'galclass: there is no such model in galaxyModels', 1;
    EXECUTE sp_execute_external_script
        @language = N'Python',
        @script = N'
import json
import pandas
from galclass.morphology import CLASSES, QUESTIONS
from galclass.scoring import ROW_COLUMNS, Scorer
from galclass.scoring.prediction import vote_columns_of

stems = [stem for question in QUESTIONS.values() for stem in question.columns]
probabilities = ["predicted_" + name for name in ["Er", "Ei", "Ec", "Se", "Sd", "Sc", "Sb", "Sa", "SBd", "SBc", "SBb", "SBa", "A"]]
usual = [name for name in ROW_COLUMNS if name not in ["predicted_" + leaf for leaf in CLASSES]]
usual[3:3] = probabilities
votes = [*vote_columns_of(stems, "debiased"), *vote_columns_of(stems, "raw")]
columns = [*usual, *votes, "probabilities"]
scorer = Scorer(model, name=model_id)
frames = [None if value != value else int(value) for value in images["frame_px"].astype(float)]
answers = scorer.score(list(images["img"]), object_ids=list(images["object_id"].astype(str)), frame_px=frames)
texts = [None if answer.by_class is None else json.dumps(answer.by_class) for answer in answers]
rows = [{**answer.as_row(), "probabilities": text} for answer, text in zip(answers, texts, strict=True)]
predictions = pandas.DataFrame([[row.get(name) for name in columns] for row in rows], columns=columns)
predictions[[*probabilities, *votes]] = predictions[[*probabilities, *votes]].astype(float)
',
        @input_data_1 = @InputData,
        @input_data_1_name = N'images',
        @output_data_1_name = N'predictions',
        @params = N'@model VARBINARY(MAX), @model_id NVARCHAR(100)',
        @model = @InputParameter,
        @model_id = @ModelId
    WITH RESULT SETS ((
        object_id NVARCHAR(64),
        predicted_class NVARCHAR(64),
        predicted_group NVARCHAR(64),
        predicted_Er FLOAT,
        predicted_Ei FLOAT,
        predicted_Ec FLOAT,
        predicted_Se FLOAT,
        predicted_Sd FLOAT,
        predicted_Sc FLOAT,
        predicted_Sb FLOAT,
        predicted_Sa FLOAT,
        predicted_SBd FLOAT,
        predicted_SBc FLOAT,
        predicted_SBb FLOAT,
        predicted_SBa FLOAT,
        predicted_A FLOAT,
        prediction_set NVARCHAR(MAX),
        flags NVARCHAR(200),
        error NVARCHAR(4000),
        model_name NVARCHAR(100),
        model_version INT,
        model_sha256 CHAR(64),
        scored_at NVARCHAR(32),
        t01_smooth_or_features_a01_smooth_debiased FLOAT,
        t01_smooth_or_features_a01_smooth_debiased_low FLOAT,
        t01_smooth_or_features_a01_smooth_debiased_high FLOAT,
        t01_smooth_or_features_a02_features_or_disk_debiased FLOAT,
        t01_smooth_or_features_a02_features_or_disk_debiased_low FLOAT,
        t01_smooth_or_features_a02_features_or_disk_debiased_high FLOAT,
        t01_smooth_or_features_a03_star_or_artifact_debiased FLOAT,
        t01_smooth_or_features_a03_star_or_artifact_debiased_low FLOAT,
        t01_smooth_or_features_a03_star_or_artifact_debiased_high FLOAT,
        t02_edgeon_a04_yes_debiased FLOAT,
        t02_edgeon_a04_yes_debiased_low FLOAT,
        t02_edgeon_a04_yes_debiased_high FLOAT,
        t02_edgeon_a05_no_debiased FLOAT,
        t02_edgeon_a05_no_debiased_low FLOAT,
        t02_edgeon_a05_no_debiased_high FLOAT,
        t03_bar_a06_bar_debiased FLOAT,
        t03_bar_a06_bar_debiased_low FLOAT,
        t03_bar_a06_bar_debiased_high FLOAT,
        t03_bar_a07_no_bar_debiased FLOAT,
        t03_bar_a07_no_bar_debiased_low FLOAT,
        t03_bar_a07_no_bar_debiased_high FLOAT,
        t04_spiral_a08_spiral_debiased FLOAT,
        t04_spiral_a08_spiral_debiased_low FLOAT,
        t04_spiral_a08_spiral_debiased_high FLOAT,
        t04_spiral_a09_no_spiral_debiased FLOAT,
        t04_spiral_a09_no_spiral_debiased_low FLOAT,
        t04_spiral_a09_no_spiral_debiased_high FLOAT,
        t05_bulge_prominence_a10_no_bulge_debiased FLOAT,
        t05_bulge_prominence_a10_no_bulge_debiased_low FLOAT,
        t05_bulge_prominence_a10_no_bulge_debiased_high FLOAT,
        t05_bulge_prominence_a11_just_noticeable_debiased FLOAT,
        t05_bulge_prominence_a11_just_noticeable_debiased_low FLOAT,
        t05_bulge_prominence_a11_just_noticeable_debiased_high FLOAT,
        t05_bulge_prominence_a12_obvious_debiased FLOAT,
        t05_bulge_prominence_a12_obvious_debiased_low FLOAT,
        t05_bulge_prominence_a12_obvious_debiased_high FLOAT,
        t05_bulge_prominence_a13_dominant_debiased FLOAT,
        t05_bulge_prominence_a13_dominant_debiased_low FLOAT,
        t05_bulge_prominence_a13_dominant_debiased_high FLOAT,
        t06_odd_a14_yes_debiased FLOAT,
        t06_odd_a14_yes_debiased_low FLOAT,
        t06_odd_a14_yes_debiased_high FLOAT,
        t06_odd_a15_no_debiased FLOAT,
        t06_odd_a15_no_debiased_low FLOAT,
        t06_odd_a15_no_debiased_high FLOAT,
        t07_rounded_a16_completely_round_debiased FLOAT,
        t07_rounded_a16_completely_round_debiased_low FLOAT,
        t07_rounded_a16_completely_round_debiased_high FLOAT,
        t07_rounded_a17_in_between_debiased FLOAT,
        t07_rounded_a17_in_between_debiased_low FLOAT,
        t07_rounded_a17_in_between_debiased_high FLOAT,
        t07_rounded_a18_cigar_shaped_debiased FLOAT,
        t07_rounded_a18_cigar_shaped_debiased_low FLOAT,
        t07_rounded_a18_cigar_shaped_debiased_high FLOAT,
        t08_odd_feature_a19_ring_debiased FLOAT,
        t08_odd_feature_a19_ring_debiased_low FLOAT,
        t08_odd_feature_a19_ring_debiased_high FLOAT,
        t08_odd_feature_a20_lens_or_arc_debiased FLOAT,
        t08_odd_feature_a20_lens_or_arc_debiased_low FLOAT,
        t08_odd_feature_a20_lens_or_arc_debiased_high FLOAT,
        t08_odd_feature_a21_disturbed_debiased FLOAT,
        t08_odd_feature_a21_disturbed_debiased_low FLOAT,
        t08_odd_feature_a21_disturbed_debiased_high FLOAT,
        t08_odd_feature_a22_irregular_debiased FLOAT,
        t08_odd_feature_a22_irregular_debiased_low FLOAT,
        t08_odd_feature_a22_irregular_debiased_high FLOAT,
        t08_odd_feature_a23_other_debiased FLOAT,
        t08_odd_feature_a23_other_debiased_low FLOAT,
        t08_odd_feature_a23_other_debiased_high FLOAT,
        t08_odd_feature_a24_merger_debiased FLOAT,
        t08_odd_feature_a24_merger_debiased_low FLOAT,
        t08_odd_feature_a24_merger_debiased_high FLOAT,
        t08_odd_feature_a38_dust_lane_debiased FLOAT,
        t08_odd_feature_a38_dust_lane_debiased_low FLOAT,
        t08_odd_feature_a38_dust_lane_debiased_high FLOAT,
        t09_bulge_shape_a25_rounded_debiased FLOAT,
        t09_bulge_shape_a25_rounded_debiased_low FLOAT,
        t09_bulge_shape_a25_rounded_debiased_high FLOAT,
        t09_bulge_shape_a26_boxy_debiased FLOAT,
        t09_bulge_shape_a26_boxy_debiased_low FLOAT,
        t09_bulge_shape_a26_boxy_debiased_high FLOAT,
        t09_bulge_shape_a27_no_bulge_debiased FLOAT,
        t09_bulge_shape_a27_no_bulge_debiased_low FLOAT,
        t09_bulge_shape_a27_no_bulge_debiased_high FLOAT,
        t10_arms_winding_a28_tight_debiased FLOAT,
        t10_arms_winding_a28_tight_debiased_low FLOAT,
        t10_arms_winding_a28_tight_debiased_high FLOAT,
        t10_arms_winding_a29_medium_debiased FLOAT,
        t10_arms_winding_a29_medium_debiased_low FLOAT,
        t10_arms_winding_a29_medium_debiased_high FLOAT,
        t10_arms_winding_a30_loose_debiased FLOAT,
        t10_arms_winding_a30_loose_debiased_low FLOAT,
        t10_arms_winding_a30_loose_debiased_high FLOAT,
        t11_arms_number_a31_1_debiased FLOAT,
        t11_arms_number_a31_1_debiased_low FLOAT,
        t11_arms_number_a31_1_debiased_high FLOAT,
        t11_arms_number_a32_2_debiased FLOAT,
        t11_arms_number_a32_2_debiased_low FLOAT,
        t11_arms_number_a32_2_debiased_high FLOAT,
        t11_arms_number_a33_3_debiased FLOAT,
        t11_arms_number_a33_3_debiased_low FLOAT,
        t11_arms_number_a33_3_debiased_high FLOAT,
        t11_arms_number_a34_4_debiased FLOAT,
        t11_arms_number_a34_4_debiased_low FLOAT,
        t11_arms_number_a34_4_debiased_high FLOAT,
        t11_arms_number_a36_more_than_4_debiased FLOAT,
        t11_arms_number_a36_more_than_4_debiased_low FLOAT,
        t11_arms_number_a36_more_than_4_debiased_high FLOAT,
        t11_arms_number_a37_cant_tell_debiased FLOAT,
        t11_arms_number_a37_cant_tell_debiased_low FLOAT,
        t11_arms_number_a37_cant_tell_debiased_high FLOAT,
        t01_smooth_or_features_a01_smooth_raw FLOAT,
        t01_smooth_or_features_a01_smooth_raw_low FLOAT,
        t01_smooth_or_features_a01_smooth_raw_high FLOAT,
        t01_smooth_or_features_a02_features_or_disk_raw FLOAT,
        t01_smooth_or_features_a02_features_or_disk_raw_low FLOAT,
        t01_smooth_or_features_a02_features_or_disk_raw_high FLOAT,
        t01_smooth_or_features_a03_star_or_artifact_raw FLOAT,
        t01_smooth_or_features_a03_star_or_artifact_raw_low FLOAT,
        t01_smooth_or_features_a03_star_or_artifact_raw_high FLOAT,
        t02_edgeon_a04_yes_raw FLOAT,
        t02_edgeon_a04_yes_raw_low FLOAT,
        t02_edgeon_a04_yes_raw_high FLOAT,
        t02_edgeon_a05_no_raw FLOAT,
        t02_edgeon_a05_no_raw_low FLOAT,
        t02_edgeon_a05_no_raw_high FLOAT,
        t03_bar_a06_bar_raw FLOAT,
        t03_bar_a06_bar_raw_low FLOAT,
        t03_bar_a06_bar_raw_high FLOAT,
        t03_bar_a07_no_bar_raw FLOAT,
        t03_bar_a07_no_bar_raw_low FLOAT,
        t03_bar_a07_no_bar_raw_high FLOAT,
        t04_spiral_a08_spiral_raw FLOAT,
        t04_spiral_a08_spiral_raw_low FLOAT,
        t04_spiral_a08_spiral_raw_high FLOAT,
        t04_spiral_a09_no_spiral_raw FLOAT,
        t04_spiral_a09_no_spiral_raw_low FLOAT,
        t04_spiral_a09_no_spiral_raw_high FLOAT,
        t05_bulge_prominence_a10_no_bulge_raw FLOAT,
        t05_bulge_prominence_a10_no_bulge_raw_low FLOAT,
        t05_bulge_prominence_a10_no_bulge_raw_high FLOAT,
        t05_bulge_prominence_a11_just_noticeable_raw FLOAT,
        t05_bulge_prominence_a11_just_noticeable_raw_low FLOAT,
        t05_bulge_prominence_a11_just_noticeable_raw_high FLOAT,
        t05_bulge_prominence_a12_obvious_raw FLOAT,
        t05_bulge_prominence_a12_obvious_raw_low FLOAT,
        t05_bulge_prominence_a12_obvious_raw_high FLOAT,
        t05_bulge_prominence_a13_dominant_raw FLOAT,
        t05_bulge_prominence_a13_dominant_raw_low FLOAT,
        t05_bulge_prominence_a13_dominant_raw_high FLOAT,
        t06_odd_a14_yes_raw FLOAT,
        t06_odd_a14_yes_raw_low FLOAT,
        t06_odd_a14_yes_raw_high FLOAT,
        t06_odd_a15_no_raw FLOAT,
        t06_odd_a15_no_raw_low FLOAT,
        t06_odd_a15_no_raw_high FLOAT,
        t07_rounded_a16_completely_round_raw FLOAT,
        t07_rounded_a16_completely_round_raw_low FLOAT,
        t07_rounded_a16_completely_round_raw_high FLOAT,
        t07_rounded_a17_in_between_raw FLOAT,
        t07_rounded_a17_in_between_raw_low FLOAT,
        t07_rounded_a17_in_between_raw_high FLOAT,
        t07_rounded_a18_cigar_shaped_raw FLOAT,
        t07_rounded_a18_cigar_shaped_raw_low FLOAT,
        t07_rounded_a18_cigar_shaped_raw_high FLOAT,
        t08_odd_feature_a19_ring_raw FLOAT,
        t08_odd_feature_a19_ring_raw_low FLOAT,
        t08_odd_feature_a19_ring_raw_high FLOAT,
        t08_odd_feature_a20_lens_or_arc_raw FLOAT,
        t08_odd_feature_a20_lens_or_arc_raw_low FLOAT,
        t08_odd_feature_a20_lens_or_arc_raw_high FLOAT,
        t08_odd_feature_a21_disturbed_raw FLOAT,
        t08_odd_feature_a21_disturbed_raw_low FLOAT,
        t08_odd_feature_a21_disturbed_raw_high FLOAT,
        t08_odd_feature_a22_irregular_raw FLOAT,
        t08_odd_feature_a22_irregular_raw_low FLOAT,
        t08_odd_feature_a22_irregular_raw_high FLOAT,
        t08_odd_feature_a23_other_raw FLOAT,
        t08_odd_feature_a23_other_raw_low FLOAT,
        t08_odd_feature_a23_other_raw_high FLOAT,
        t08_odd_feature_a24_merger_raw FLOAT,
        t08_odd_feature_a24_merger_raw_low FLOAT,
        t08_odd_feature_a24_merger_raw_high FLOAT,
        t08_odd_feature_a38_dust_lane_raw FLOAT,
        t08_odd_feature_a38_dust_lane_raw_low FLOAT,
        t08_odd_feature_a38_dust_lane_raw_high FLOAT,
        t09_bulge_shape_a25_rounded_raw FLOAT,
        t09_bulge_shape_a25_rounded_raw_low FLOAT,
        t09_bulge_shape_a25_rounded_raw_high FLOAT,
        t09_bulge_shape_a26_boxy_raw FLOAT,
        t09_bulge_shape_a26_boxy_raw_low FLOAT,
        t09_bulge_shape_a26_boxy_raw_high FLOAT,
        t09_bulge_shape_a27_no_bulge_raw FLOAT,
        t09_bulge_shape_a27_no_bulge_raw_low FLOAT,
        t09_bulge_shape_a27_no_bulge_raw_high FLOAT,
        t10_arms_winding_a28_tight_raw FLOAT,
        t10_arms_winding_a28_tight_raw_low FLOAT,
        t10_arms_winding_a28_tight_raw_high FLOAT,
        t10_arms_winding_a29_medium_raw FLOAT,
        t10_arms_winding_a29_medium_raw_low FLOAT,
        t10_arms_winding_a29_medium_raw_high FLOAT,
        t10_arms_winding_a30_loose_raw FLOAT,
        t10_arms_winding_a30_loose_raw_low FLOAT,
        t10_arms_winding_a30_loose_raw_high FLOAT,
        t11_arms_number_a31_1_raw FLOAT,
        t11_arms_number_a31_1_raw_low FLOAT,
        t11_arms_number_a31_1_raw_high FLOAT,
        t11_arms_number_a32_2_raw FLOAT,
        t11_arms_number_a32_2_raw_low FLOAT,
        t11_arms_number_a32_2_raw_high FLOAT,
        t11_arms_number_a33_3_raw FLOAT,
        t11_arms_number_a33_3_raw_low FLOAT,
        t11_arms_number_a33_3_raw_high FLOAT,
        t11_arms_number_a34_4_raw FLOAT,
        t11_arms_number_a34_4_raw_low FLOAT,
        t11_arms_number_a34_4_raw_high FLOAT,
        t11_arms_number_a36_more_than_4_raw FLOAT,
        t11_arms_number_a36_more_than_4_raw_low FLOAT,
        t11_arms_number_a36_more_than_4_raw_high FLOAT,
        t11_arms_number_a37_cant_tell_raw FLOAT,
        t11_arms_number_a37_cant_tell_raw_low FLOAT,
        t11_arms_number_a37_cant_tell_raw_high FLOAT,
        probabilities NVARCHAR(MAX)
    ));
END;
GO

-- Call it: EXECUTE [dbo].predictGalaxyClass;
-- Put a model in: INSERT INTO [dbo].galaxyModels (id, value, sha256)
--     SELECT N'galaxy@production', BulkColumn, LOWER(CONVERT(CHAR(64), HASHBYTES('SHA2_256', BulkColumn), 2))
--     FROM OPENROWSET(BULK N'C:\models\galaxy.onnx', SINGLE_BLOB) AS model;
