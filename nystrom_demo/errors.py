"""The one error whose message is written for whoever asked."""


class UserError(ValueError):
    """A request that is refused; its message is one sentence that may be shown to whoever sent it."""
