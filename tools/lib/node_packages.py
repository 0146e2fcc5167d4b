"""The npm packages of tests/npm: installed as the lock file says, when they are missing or older than it.

For the tests only; nothing of it is in the product. Run by hand: /usr/bin/python3 tools/lib/node_packages.py
"""
import fcntl
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

FOLDER = Path(__file__).resolve().parents[2] / "tests" / "npm"
LOCK = FOLDER / "package-lock.json"
MARK = FOLDER / "node_modules" / ".package-lock.json"       # npm writes it last
NODE_MIN = 18
INSTALL_TIMEOUT_S = 300


class NodeError(Exception):
    """Node.js or the packages are not there; the text says what to do."""


def node():
    """The path of a Node.js that is new enough; $BF_NODE names another one."""
    path = os.environ.get("BF_NODE") or shutil.which("node")
    if not path:
        raise NodeError("there is no Node.js; run tools/setup")
    said = subprocess.run([path, "--version"], capture_output=True, text=True, check=False).stdout
    version = re.match(r"v(\d+)\.", said)
    if not version or int(version.group(1)) < NODE_MIN:
        raise NodeError(f"{path} is {said.strip() or 'broken'}; the tests need Node.js {NODE_MIN} or newer")
    return path


def fresh():
    """Whether what is installed is what the lock file says."""
    return MARK.exists() and MARK.stat().st_mtime >= LOCK.stat().st_mtime


def ensure():
    """Installs the packages if need be; two at a time take turns. What npm wrote, None when there was nothing to do."""
    with open(LOCK, "rb") as turn:
        fcntl.flock(turn, fcntl.LOCK_EX)
        if fresh():
            return None
        npm = shutil.which("npm")
        if not npm:
            raise NodeError("there is no npm; run tools/setup")
        done = subprocess.run([npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"], cwd=FOLDER, text=True,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False,
                              timeout=INSTALL_TIMEOUT_S)
        if done.returncode != 0:
            raise NodeError(f"npm ci in {FOLDER} ended with {done.returncode}:\n{done.stdout}")
        os.utime(MARK)
        return done.stdout


if __name__ == "__main__":
    try:
        node()
        print(ensure() or "nothing to do")
    except NodeError as problem:
        sys.exit(f"node_packages: {problem}")
