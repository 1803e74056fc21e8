"""What is wrong with a pipeline or with its answers. Pure."""


class Unusable(Exception):
    """An object that mlserve cannot serve; the message says why, `fix` what to do."""

    def __init__(self, detail: str, fix: str) -> None:
        super().__init__(detail)
        self.detail, self.fix = detail, fix


class NotJsonable(ValueError):
    """An answer of the pipeline that JSON cannot carry. `row` is its position, where known."""

    def __init__(self, detail: str, row: int | None = None) -> None:
        super().__init__(detail)
        self.row = row


class WrongAnswerCount(ValueError):
    """A call that did not give one answer for each row, so that no answer can be told to belong to a row."""

    def __init__(self, output: str, *, answers: int, rows: int) -> None:
        super().__init__(f"{output} gave {answers} answers for {rows} rows")
