"""From media and a manifest to TFRecords."""
