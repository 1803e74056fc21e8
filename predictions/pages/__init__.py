"""The pages for people: a form for each model, a permalink for each prediction. Door: `urls`."""
