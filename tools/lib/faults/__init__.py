"""Campaigns of faults against the whole product, on real parts: what tools/faults runs.

run.py holds a campaign's parts and its diary of faults, judge.py what must hold at the end; processes.py, database.py and
servers.py inflict. The daemons, databases and relays are those of the system tests.
"""
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
for _folder in (ROOT / "tools" / "lib", ROOT / "tests" / "system"):
    if str(_folder) not in sys.path:
        sys.path.insert(0, str(_folder))
