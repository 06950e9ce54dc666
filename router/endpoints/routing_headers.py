"""Our own headers of a request -> the tier and the quality that the caller asks for.

Body and model say what is asked; these say how it shall be answered. Every endpoint that answers reads them alike.
"""

import re
from collections.abc import Mapping
from typing import Final

from router.base import BadRequest, Tier

_QUALITY: Final = re.compile(rb"[ \t]*(?:0(?:\.\d{0,9})?|\.\d{1,9}|1(?:\.0{0,9})?)[ \t]*")


def wanted_tier(headers: Mapping[bytes, bytes]) -> Tier | None:
    """Return the tier that `x-tandem-tier` names; None where it is not there.

    Raises:
        BadRequest: it names none of ours.
    """
    sent = headers.get(b"x-tandem-tier")
    if sent is None:
        return None
    try:
        return Tier(sent.decode("latin-1").strip().lower())
    except ValueError:
        raise BadRequest("x-tandem-tier must be large or mini", code="invalid_value", param="x-tandem-tier") from None


def wanted_quality(headers: Mapping[bytes, bytes]) -> float | None:
    """Return the share of all-Large's quality that is wanted; policies that promise none pass it over.

    Raises:
        BadRequest: it is no number from 0 to 1.
    """
    sent = headers.get(b"x-tandem-quality")
    if sent is None:
        return None
    if _QUALITY.fullmatch(sent) is None:
        raise BadRequest(
            "x-tandem-quality must be a number from 0 to 1, such as 0.98",
            code="invalid_value",
            param="x-tandem-quality",
        )
    return float(sent)
