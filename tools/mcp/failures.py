"""The error of an answer that can't be used."""


class UnusableAnswerError(Exception):
    """The server answered, and the call can't be continued; the text is for the model."""
