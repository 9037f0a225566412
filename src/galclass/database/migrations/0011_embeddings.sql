-- What a model saw in an image, as float32 numbers in little-endian order; empty where the image gives no cutout.
CREATE TABLE galaxy_embeddings (
    model_sha256 TEXT NOT NULL,
    object_id TEXT NOT NULL,
    img_sha256 TEXT NOT NULL,
    embedding {blob} NOT NULL,
    embedded_at {timestamp} NOT NULL,
    PRIMARY KEY (model_sha256, object_id)
);
CREATE INDEX galaxy_labels_by_source ON galaxy_labels (source, labelled_by, labelled_at);
CREATE INDEX galaxy_embeddings_by_time ON galaxy_embeddings (model_sha256, embedded_at);
