"""C source as the house checks see it: comments and literals blanked, lines and columns kept."""
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SUFFIXES = (".c", ".h")

_TOKEN = re.compile(
    r"""(?P<comment>/\*.*?\*/|//(?:\\\n|[^\n])*)
      | (?P<literal>"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*')
    """, re.X | re.S)


def _blank(text):
    return re.sub(r"[^\n]", " ", text)


def without_comments(text):
    """Comments become blanks; literals stay (an #include needs them)."""
    return _TOKEN.sub(lambda m: _blank(m.group()) if m.lastgroup == "comment" else m.group(), text)


def code_only(text):
    """Comments and the insides of literals become blanks."""
    def one(m):
        if m.lastgroup == "comment":
            return _blank(m.group())
        return m.group()[0] + _blank(m.group()[1:-1]) + m.group()[-1]
    return _TOKEN.sub(one, text)


def files(*folders):
    """The C files below these folders of the repository, sorted."""
    found = []
    for folder in folders:
        found += [p for p in (ROOT / folder).rglob("*") if p.suffix in SUFFIXES and p.is_file()]
    return sorted(found)


def name(path):
    """The path as people write it: from the repository's top."""
    return str(Path(path).relative_to(ROOT))
