"""The schema of one record, and all that is read from it. Door: `record.RecordSchema`."""
