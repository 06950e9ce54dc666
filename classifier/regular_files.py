"""Path -> a regular file, open or read up to a bound, or why not.

For the files that a configuration or a command line names: a pipe would be waited for without end, and a device may
have none. Knows nothing of what stands in a file. Errors say no path, since whoever asks for a file has words for it.
"""

import errno
import os
import stat
from io import BufferedReader
from pathlib import Path
from typing import Final

LARGEST: Final = 64 << 20
"""Bytes of a file that is read whole: no weights, prices, calibration or certificate come near it."""


def open_regular(path: Path) -> BufferedReader:
    """Return a regular file, open to be read; the caller closes it. Never waits.

    Raises:
        OSError: it cannot be opened, or is something else than a file; `strerror` says why.
    """
    try:
        # A pipe that nobody writes to would hold up whoever opens it otherwise; for a file it means nothing.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY)
    except ValueError as error:
        raise OSError(errno.EINVAL, "its path holds the character NUL") from error
    mode = os.fstat(descriptor).st_mode
    if stat.S_ISREG(mode):
        return os.fdopen(descriptor, "rb")
    os.close(descriptor)
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    raise OSError(errno.EINVAL, f"it is a {'pipe' if stat.S_ISFIFO(mode) else 'device'}, and no file")


def read_regular(path: Path, *, most: int = LARGEST) -> bytes:
    """Return what a regular file holds.

    Args:
        most: bytes.

    Raises:
        OSError: it cannot be read, is something else than a file, or is longer; `strerror` says why.
    """
    with open_regular(path) as file:
        # Asked first, so that nothing is read of what is too long; what says 0 or grows meanwhile is cut off below.
        is_longer = os.fstat(file.fileno()).st_size > most
        content = b"" if is_longer else file.read(most + 1)
    if is_longer or len(content) > most:
        raise OSError(errno.EFBIG, f"it is over {most} bytes")
    return content
