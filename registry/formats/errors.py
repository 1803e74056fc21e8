"""Why an artifact is not loaded. Pure."""

HOW_TO_SAVE = (
    "Save the fitted pipeline with skops.io.dump(pipeline, 'model.skops') or joblib.dump(pipeline, 'model.joblib') and "
    "upload that file."
)
OF_A_NOTEBOOK = (
    "A class, function or lambda was defined in the training script or notebook itself. Move it into a module that is "
    "installed where mlserve runs, name that module in MLSERVE_TRUSTED_MODULES, train again and upload. If there is "
    "none, save with joblib.dump instead of cloudpickle."
)


class CannotLoad(Exception):
    """An artifact that cannot be loaded; the message says why, `fix` what to do."""

    def __init__(self, detail: str, fix: str) -> None:
        super().__init__(detail)
        self.detail, self.fix = detail, fix


class Refused(CannotLoad):
    """An artifact that must not be loaded: it refers to a name that is not trusted, or hides its names."""


class NotTrusted(Refused):
    """A name of the file is not on the list of this process; `name` says which."""

    def __init__(self, name: str) -> None:
        super().__init__(f"{name} is not trusted.", "check_model says more about this file.")
        self.name = name
