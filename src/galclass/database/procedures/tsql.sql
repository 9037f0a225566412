{{not_run}}
-- It was parsed by a T-SQL grammar, and its Python was run on a data frame.
-- galclass in SQL Server Machine Learning Services (2022 or later, Python): galclass {{version}}.
-- Needs, all of it:
--   1. Python 3.11 or later in the instance, as galclass does. Microsoft's own Python extension is built for 3.10 (SQL Server 2022; 3.7
--      in 2019), which does NOT run it: build the open source Python language extension (mssql-language-extensions) for 3.11,
--      register it with CREATE EXTERNAL LANGUAGE, and name that language below in place of Python.
--   2. The packages galclass and pandas in that Python (sqlmlutils or pip).
--   3. sp_configure 'external scripts enabled', 1, and EXECUTE ANY EXTERNAL SCRIPT for the callers.
-- Where this cannot be had, --dialect tsql-rest needs no Python in the instance.
{{images_table}}

IF OBJECT_ID(N'{{schema}}.galaxyModels', N'U') IS NULL
CREATE TABLE {{schema}}.galaxyModels (
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
CREATE OR ALTER PROCEDURE {{schema}}.predictGalaxyClass
    @InputData NVARCHAR(MAX) = N'SELECT object_id, img, frame_px FROM {{schema}}.galaxyImgData',
    @InputParameter VARBINARY(MAX) = NULL,
    @ModelId NVARCHAR(100) = N'{{model}}'
AS
BEGIN
    SET NOCOUNT ON;
    IF @InputParameter IS NULL
        SELECT @InputParameter = value FROM {{schema}}.galaxyModels WHERE id = @ModelId;
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
probabilities = ["predicted_" + name for name in {{classes}}]
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
{{probability_columns}}
        prediction_set NVARCHAR(MAX),
        flags NVARCHAR(200),
        error NVARCHAR(4000),
        model_name NVARCHAR(100),
        model_version INT,
        model_sha256 CHAR(64),
        scored_at NVARCHAR(32),
{{vote_columns}},
        probabilities NVARCHAR(MAX)
    ));
END;
GO

-- Call it: EXECUTE {{schema}}.predictGalaxyClass;
-- Put a model in: INSERT INTO {{schema}}.galaxyModels (id, value, sha256)
--     SELECT N'{{model}}', BulkColumn, LOWER(CONVERT(CHAR(64), HASHBYTES('SHA2_256', BulkColumn), 2))
--     FROM OPENROWSET(BULK N'C:\models\galaxy.onnx', SINGLE_BLOB) AS model;
