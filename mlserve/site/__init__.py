"""What describes the whole service: OpenAPI and the pages of problem types. Door: `openapi`, `problem_pages`."""
