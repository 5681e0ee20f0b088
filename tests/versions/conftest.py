# SPDX-License-Identifier: BSD-2-Clause
import importlib.util
import sys
from pathlib import Path

# The fixtures of the end-to-end tests.
E2E = Path(__file__).resolve().parents[1] / "e2e"
sys.path.insert(0, str(E2E))
_spec = importlib.util.spec_from_file_location("e2e_conftest", E2E / "conftest.py")
_module = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_module)
place, time_limit, pytest_sessionfinish = _module.place, _module.time_limit, _module.pytest_sessionfinish
