"""What an upload says of its model's input: the schema and its sources, the sample, the trainer's answers.

Runs in the inspection's child process. Door: `schemas`, `sample` and `answer_files`.
"""
