"""The one error whose message is written for whoever asked."""


class UserError(ValueError):
    """A request or a setting that is refused; its message is one sentence that may be shown to whoever sent it.

    reason: what it was refused for, in a word, to be counted: "value", "memory", "seconds" or "deadline".
    """

    def __init__(self, message: str, reason: str = "value"):
        super().__init__(message)
        self.reason = reason
