"""Every error this program raises on purpose, as one tree.

    AttnVizError                     exit 1 (a bug of ours, unless a subclass says otherwise)
    ├── UsageError                   exit 2: a flag, a configuration key, a command
    ├── InputError                   exit 2: what the user gave us to read
    │   ├── DatasetError             the JSON file or one of its items
    │   ├── ImageError               an image that cannot be used
    │   ├── StartPhraseError         a start phrase that occurs nowhere
    │   ├── ModelError               a model that cannot be loaded or recorded
    │   │   └── TooLongError         a prompt, or a prompt and an answer, longer than the model reads
    │   └── TraceError               a trace that is damaged, too new or incomplete
    └── EnvironmentFault             exit 4: the machine, not the input
        ├── DiskFullError            no room for what has to be written
        ├── DeviceError              the device is missing or out of memory
        └── EncoderError             ffmpeg failed

    KeyboardInterrupt
    └── Interrupted                  exit 130: Ctrl-C or SIGTERM; no `Exception`, so that nothing swallows it

A message says what was expected, what came, where, and what to do, in one line.
"""

from __future__ import annotations


class AttnVizError(Exception):
    """Root of all errors raised on purpose; `exit_code` is what the command line returns for it."""

    exit_code = 1


class UsageError(AttnVizError):
    """A flag, a configuration key or a command that cannot be obeyed."""

    exit_code = 2


class InputError(AttnVizError):
    """Something the user gave us to read is not usable."""

    exit_code = 2


class DatasetError(InputError):
    """A dataset file, or one item of it, is not in the expected form."""


class ImageError(InputError):
    """An image is missing, forbidden or not readable."""


class StartPhraseError(InputError):
    """The start phrase that the user gave occurs nowhere."""


class ModelError(InputError):
    """A model cannot be loaded, or its attention cannot be recorded."""


class TooLongError(ModelError):
    """A prompt, or a prompt and an answer, have more tokens than the model reads."""

    def __init__(self, message: str, n_prompt: int = 0, n_image: int = 0, n_answer: int = 0, limit: int = 0) -> None:
        """Counts are tokens; `n_image` of the prompt's are of images."""
        super().__init__(message)
        self.n_prompt = n_prompt
        self.n_image = n_image
        self.n_answer = n_answer
        self.limit = limit


class TraceError(InputError):
    """A trace is damaged, of an unknown version, or lacks what was asked for."""


class EnvironmentFault(AttnVizError):  # noqa: N818 (a fault of the machine, not an error of the user)
    """The machine, not the input, stands in the way."""

    exit_code = 4


class DiskFullError(EnvironmentFault):
    """There is no room for a file that has to be written, or it may not become that large."""


class DeviceError(EnvironmentFault):
    """The device that was asked for is missing or out of memory."""


class EncoderError(EnvironmentFault):
    """The video encoder is missing or failed."""


class Interrupted(KeyboardInterrupt):  # noqa: N818 (nothing went wrong)
    """The user or the system asked the program to stop.

    Outside the tree above: `except Exception`, here and in every library, must not take it for a failure of its own.
    """

    exit_code = 130
