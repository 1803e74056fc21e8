"""From an inspected artifact to the version that serves. Door: `publish` writes, `lookup` reads."""
