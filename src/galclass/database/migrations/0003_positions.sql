-- A cone search reads only the strip of sky it needs.
CREATE INDEX galaxy_images_by_dec ON galaxy_images (dec) WHERE dec IS NOT NULL;
