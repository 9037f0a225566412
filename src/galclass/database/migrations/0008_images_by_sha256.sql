-- Images that are stored already under another object id are found by their bytes.
CREATE INDEX galaxy_images_by_sha256 ON galaxy_images (sha256);
