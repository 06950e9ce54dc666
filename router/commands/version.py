"""Nothing -> which Tandem this is, on which Python and machine."""

import json
import platform
from typing import Annotated

from typer import Option

from router import __version__


def version(*, as_json: Annotated[bool, Option("--json", help="Print one JSON object.")] = False) -> None:
    """Print the version of the program, of Python and of the platform."""
    python, machine = platform.python_version(), platform.platform()
    if as_json:
        print(json.dumps({"tandem": __version__, "python": python, "platform": machine}))
    else:
        print(f"tandem {__version__}\npython {python}\n{machine}")
