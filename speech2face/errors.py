"""The one error class for what a user can get wrong."""


class UserError(ValueError):
    """A mistake in options, files or data that the user can correct.

    A command prints the message on one line and exits with status 1. Every other
    exception is a bug: it keeps its traceback and exits with status 2. The message says
    what is wrong, where, what was expected and what to do.

    Attributes:
      reason: machine-readable name of the mistake in snake_case, such as 'silent' or
        'no_face'. Reports count rejected data by it; nothing reads it from the message.
    """

    def __init__(self, message: str, *, reason: str = "invalid"):
        """Creates the error.

        Args:
          message: one line for the user.
          reason: name of the mistake in snake_case.
        """
        super().__init__(message)
        self.reason = reason

    def __reduce__(self):
        """Keeps `reason` when a worker process sends the error to its parent."""
        return _restore, (type(self), self.args, self.__dict__)


def _restore(error_type: type, args: tuple, attributes: dict) -> UserError:
    error = error_type.__new__(error_type, *args)
    error.args = args
    error.__dict__.update(attributes)
    return error
