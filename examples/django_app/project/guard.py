"""The demo's guard: a login by name, in a signed session. Replace it by your own."""

import os
import sys

OPEN = os.environ.get("USERIMAGES_EXAMPLE_OPEN") == "1"
if OPEN:
    print(
        "USERIMAGES_EXAMPLE_OPEN=1: anyone may see and change anyone's pictures. For local trials only.",
        file=sys.stderr,
    )


def authorize(request, action: str, user: str) -> bool:
    """Let everybody do everything with their own pictures, and the staff with everyone's."""
    return OPEN or request.session.get("user") == user or request.user.is_staff
