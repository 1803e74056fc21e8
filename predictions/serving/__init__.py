"""The web side of a prediction: validated, then predicted in place or queued. Door: `submission.submit`."""
