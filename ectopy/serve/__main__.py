"""`python -m ectopy.serve`: the server alone, all of it set through the environment."""

from __future__ import annotations

import sys

from ectopy.serve.command import serve
from services.settings import Settings

sys.exit(serve(Settings(), reload="--reload" in sys.argv[1:]))
