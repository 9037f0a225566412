{{not_run}}
-- It was parsed by a T-SQL grammar, and a real service accepted its request body.
-- galclass over HTTPS from SQL Server 2025, Azure SQL Database or Azure SQL Managed Instance, without Python in the
-- instance: galclass {{version}}.
-- Needs, all of it:
--   1. SQL Server 2025 (17.x) with sp_configure 'external rest endpoint enabled', 1; Azure SQL has it enabled. Older versions
--      have no sp_invoke_external_rest_endpoint: use the first form there (--dialect tsql).
--   2. A published service (galclass publish) that the server reaches over HTTPS with a certificate that it trusts; Azure SQL
--      Database also restricts which hosts may be called, and reaches others through API Management only.
--   3. A reader's token (galclass tokens create) in a database scoped credential whose name begins the URL:
--        CREATE MASTER KEY ENCRYPTION BY PASSWORD = '...';
--        CREATE DATABASE SCOPED CREDENTIAL [{{credential}}]
--            WITH IDENTITY = 'HTTPEndpointHeaders', SECRET = '{"Authorization": "Bearer ..."}';
--   4. For the callers: GRANT EXECUTE ANY EXTERNAL ENDPOINT, and GRANT REFERENCES ON DATABASE SCOPED CREDENTIAL.
{{images_table}}

-- @InputData: a query that gives object_id, img, frame_px. It is run with the rights of the caller.
-- @Url: the published service. A row whose image is NULL or faulty comes back with its error; none is left out.
CREATE OR ALTER PROCEDURE {{schema}}.predictGalaxyClassRest
    @InputData NVARCHAR(MAX) = N'SELECT object_id, img, frame_px FROM {{schema}}.galaxyImgData',
    @Url NVARCHAR(4000) = N'{{url}}',
    @BatchSize INT = 16
AS
BEGIN
    SET NOCOUNT ON;
    CREATE TABLE #images (
        position INT IDENTITY(1, 1) PRIMARY KEY,
        object_id NVARCHAR(64) NOT NULL,
        img VARBINARY(MAX) NULL,
        frame_px INT NULL
    );
    CREATE TABLE #answers (position INT PRIMARY KEY, record NVARCHAR(MAX) NOT NULL);
    INSERT INTO #images (object_id, img, frame_px) EXECUTE sp_executesql @InputData;

    DECLARE @first INT = 1, @last INT, @frame INT, @count INT, @status INT;
    DECLARE @endpoint NVARCHAR(4000), @body NVARCHAR(MAX), @response NVARCHAR(MAX), @problem NVARCHAR(2000);
    WHILE EXISTS (SELECT 1 FROM #images WHERE position >= @first)
    BEGIN
        -- The frame is an option of a request, so a batch ends where it changes.
        SELECT @frame = frame_px FROM #images WHERE position = @first;
        SELECT @last = COALESCE(MIN(position) - 1, @first + @BatchSize - 1)
        FROM #images
        WHERE position > @first AND position < @first + @BatchSize AND COALESCE(frame_px, 0) <> COALESCE(@frame, 0);
        SELECT @count = COUNT(*) FROM #images WHERE position BETWEEN @first AND @last;
        SET @body = (
            SELECT object_id AS [id], COALESCE(BASE64_ENCODE(img), '') AS [img]
            FROM #images
            WHERE position BETWEEN @first AND @last
            ORDER BY position
            FOR JSON PATH, ROOT('images')
        );
        SET @endpoint = CONCAT(@Url, N'/predict', N'?frame_px=' + CAST(@frame AS NVARCHAR(12)));
        EXECUTE @status = sp_invoke_external_rest_endpoint
            @url = @endpoint,
            @method = N'POST',
            @headers = N'{"Accept": "application/json"}',
            @payload = @body,
            @credential = [{{credential}}],
            @timeout = 230,
            @response = @response OUTPUT;
        IF @status <> 0
        BEGIN
            SET @problem = CONCAT(
                N'galclass: the service responded with status ', @status, N': ',
                COALESCE(JSON_VALUE(@response, N'$.result.error.message'), N'no reason'));
            THROW 50002, @problem, 1;
        END;
        INSERT INTO #answers (position, record)
        SELECT @first + CAST([key] AS INT), [value] FROM OPENJSON(@response, N'$.result.predictions');
        IF @@ROWCOUNT <> @count
            THROW 50003, N'galclass: the service responded for another number of images', 1;
        SET @first = @last + 1;
    END;

    SELECT
        one.object_id,
        one.predicted_class,
        one.predicted_group,
{{selected_probabilities}}
        COALESCE((SELECT STRING_AGG([value], N'|') WITHIN GROUP (ORDER BY CAST([key] AS INT))
            FROM OPENJSON(one.prediction_set)), N'') AS prediction_set,
        COALESCE((SELECT STRING_AGG([value], N'|') WITHIN GROUP (ORDER BY CAST([key] AS INT))
            FROM OPENJSON(one.flags)), N'') AS flags,
        one.error_code + N': ' + one.error_message AS error,
        one.model_name,
        one.model_version,
        one.model_sha256,
        CONVERT(NVARCHAR(19), SYSUTCDATETIME(), 126) + N'Z' AS scored_at,
{{selected_votes}},
        one.probabilities
    FROM #answers AS answer
    CROSS APPLY OPENJSON(answer.record) WITH (
        object_id NVARCHAR(64) '$.object_id',
        predicted_class NVARCHAR(64) '$.predicted_class',
        predicted_group NVARCHAR(64) '$.predicted_group',
{{probability_paths}}
        prediction_set NVARCHAR(MAX) '$.prediction_set' AS JSON,
        flags NVARCHAR(MAX) '$.flags' AS JSON,
        error_code NVARCHAR(64) '$.error.code',
        error_message NVARCHAR(4000) '$.error.message',
        model_name NVARCHAR(100) '$.model.name',
        model_version INT '$.model.version',
        model_sha256 CHAR(64) '$.model.sha256',
{{vote_paths}},
        probabilities NVARCHAR(MAX) '$.probabilities' AS JSON
    ) AS one
    ORDER BY answer.position;
END;
GO

-- Call it: EXECUTE {{schema}}.predictGalaxyClassRest;
