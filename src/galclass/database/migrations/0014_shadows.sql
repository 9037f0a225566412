-- What shadows of services answered beside the visible versions: counts, and the newest objects that differ.
CREATE TABLE galaxy_shadows (
    name TEXT NOT NULL,
    version TEXT NOT NULL,
    shadow_version TEXT NOT NULL,
    compared {bigint} NOT NULL,
    same_class {bigint} NOT NULL,
    same_group {bigint} NOT NULL,
    largest_difference {double} NOT NULL,
    dropped {bigint} NOT NULL,
    failed {bigint} NOT NULL,
    since {timestamp} NOT NULL,
    updated_at {timestamp} NOT NULL,
    PRIMARY KEY (name, version, shadow_version)
);
CREATE TABLE galaxy_shadow_differences (
    name TEXT NOT NULL,
    version TEXT NOT NULL,
    shadow_version TEXT NOT NULL,
    object_id TEXT NOT NULL,
    img_sha256 TEXT NOT NULL,
    predicted_class TEXT NOT NULL,
    shadow_class TEXT NOT NULL,
    difference {double} NOT NULL,
    seen_at {timestamp} NOT NULL,
    PRIMARY KEY (name, version, shadow_version, object_id, img_sha256)
);
