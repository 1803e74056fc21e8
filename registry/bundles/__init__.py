"""A model inside of a folder or an archive: MLflow's and SageMaker's. Nothing here unpickles."""
