"""Building data sets: manifests, media, faces, records, and generated sample people."""
