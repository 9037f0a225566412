-- Pictures that were saved again as other bytes are found by the pixels of their cutout.
ALTER TABLE galaxy_images ADD COLUMN pixels_sha256 TEXT;
CREATE INDEX galaxy_images_by_pixels_sha256 ON galaxy_images (pixels_sha256);
