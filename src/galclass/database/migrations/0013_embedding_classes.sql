-- The class that the model gave with an embedding; NULL in rows of before, which are computed again.
ALTER TABLE galaxy_embeddings ADD COLUMN predicted_class TEXT;
