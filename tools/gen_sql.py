#!/usr/bin/env python3
"""Turns the named statements of .sql files into a C table.

    gen_sql.py OUT.c OUT.h IN.sql...

A file holds statements, each introduced by a line `-- name: some_name` and ending at the next such
line or at the end of the file. Comments and indentation are stripped, so that they cost nothing on
the wire; text inside quotes is kept byte for byte. The number of parameters is the highest $N.
Whatever could only surprise at run time (a duplicate or malformed name, a gap in $N, two statements
under one name, an unclosed quote) is refused here, with its file and line.

Text that several statements have in common is a part: it begins with a line `-- part: some_name`, and a
line `-- use: some_name` in any statement of any file stands for it. Parts use no parts.
"""
import re
import sys
from pathlib import Path

NAME_LINE = re.compile(r"--[ \t]*(name|part)[ \t]*:(.*)")
USE_LINE = re.compile(r"--[ \t]*use[ \t]*:(.*)")
NAME = re.compile(r"[a-z][a-z0-9_]*")
MAX_NAME = 63           # what PostgreSQL keeps of an identifier
MAX_PARAMS = 65535      # the protocol counts parameters in 16 bits
LITERAL_MAX = 4000      # compilers need to take string literals up to 4095 characters only

# One lexical element of SQL; the order matters. An unclosed one is caught by its first character.
TOKEN = re.compile(
    r"""(?P<line_comment>--[^\n]*)
      | (?P<block_comment>/\*)
      | (?P<string>\b[eE]'(?:[^'\\]|\\.|'')*' | '(?:[^']|'')*')
      | (?P<ident>"(?:[^"]|"")*")
      | (?P<dollar>\$(?P<tag>[A-Za-z_][A-Za-z_0-9]*|)\$.*?\$(?P=tag)\$)
      | (?P<param>\$[0-9]+)
      | (?P<word>[A-Za-z_][A-Za-z_0-9$]*)
      | (?P<space>[ \t\n]+)
      | (?P<semicolon>;)
      | (?P<other>.)
    """, re.X | re.S)


class Refused(Exception):
    """A problem in the input, with the place it is at."""


def block_comment_end(text, start):
    """Index after the (nesting) block comment at start, -1 when it never ends."""
    depth, at = 0, start
    for m in re.finditer(r"/\*|\*/", text[start:]):
        depth += 1 if m.group() == "/*" else -1
        at = start + m.end()
        if depth == 0:
            return at
    return -1


def strip(text, where):
    """The statement without comments and indentation, and the set of its parameter numbers."""
    out, params, at, ended = [], set(), 0, False
    while at < len(text):
        m = TOKEN.match(text, at)
        kind, piece, at = m.lastgroup if m.lastgroup != "tag" else "dollar", m.group(), m.end()
        line = where[1] + text.count("\n", 0, m.start())
        if kind == "line_comment":
            continue
        if kind == "block_comment":
            at = block_comment_end(text, m.start())
            if at < 0:
                raise Refused(f"{where[0]}:{line}: the comment is never closed")
            out.append(" ")
            continue
        if kind == "space":
            out.append("\n" if "\n" in piece else " ")
            continue
        if ended:
            raise Refused(f"{where[0]}:{line}: text after the semicolon: one statement per name")
        if kind == "semicolon":
            ended = True
            continue
        if kind == "other" and piece in "'\"$\\\r\0":
            raise Refused(f"{where[0]}:{line}: unclosed or unexpected {piece!r}")
        if kind == "param":
            params.add(int(piece[1:]))
        out.append(piece)
    return tidy(out), params


def tidy(pieces):
    """Joins the pieces; runs of white space outside quotes become one newline or one blank."""
    out = []
    for piece in pieces:
        if piece in (" ", "\n"):
            if not out or out[-1] == "\n":
                continue
            if out[-1] == " ":
                out[-1] = piece
                continue
        out.append(piece)
    while out and out[-1] in (" ", "\n"):
        out.pop()
    return "".join(out)


def check_params(name, params, where):
    """$1..$N without a gap; returns N."""
    highest = max(params, default=0)
    if highest > MAX_PARAMS:
        raise Refused(f"{where[0]}:{where[1]}: {name}: ${highest} is too high")
    missing = sorted(set(range(1, highest + 1)) - params)
    if missing or 0 in params:
        gaps = ", ".join(f"${n}" for n in missing[:5]) or "$0 is used"
        raise Refused(f"{where[0]}:{where[1]}: {name}: parameters have gaps: {gaps}")
    return highest


def sections(path):
    """Yields (kind, name, line, lines) of one file; kind is "name" or "part"."""
    text = path.read_text(encoding="utf-8")
    body, found = None, []
    for number, line in enumerate(text.split("\n"), 1):
        m = NAME_LINE.fullmatch(line.strip())
        if m:
            name, body = m.group(2).strip(), []
            if not NAME.fullmatch(name) or len(name) > MAX_NAME:
                raise Refused(f"{path}:{number}: not a {'statement' if m.group(1) == 'name' else 'part'} name: {name!r}")
            found.append((m.group(1), name, number, body))
        elif body is not None:
            body.append(line)
        elif line.strip() and not line.strip().startswith("--"):
            raise Refused(f"{path}:{number}: text before the first `-- name:` line")
    if not found:
        raise Refused(f"{path}: no `-- name:` line")
    return found


def insert_parts(lines, parts, where, used):
    """The lines with every `-- use:` replaced by what it stands for."""
    out = []
    for number, line in enumerate(lines, where[1]):
        m = USE_LINE.fullmatch(line.strip())
        if m and m.group(1).strip() not in parts:
            raise Refused(f"{where[0]}:{number}: there is no part {m.group(1).strip()!r}")
        if m:
            used.add(m.group(1).strip())
        out += parts[m.group(1).strip()] if m else [line]
    return out


def collect(paths):
    """(name, sql, n_params) of every statement of every file, parts inserted."""
    everything = [(path, *one) for path in paths for one in sections(path)]
    parts, seen, used, found = {}, {}, set(), []
    for path, kind, name, number, lines in everything:
        # sql_all and sql_n_all are the table's own names
        if kind == "name" and name in ("all", "n_all"):
            raise Refused(f"{path}:{number}: the name {name} is taken")
        if name in seen:
            raise Refused(f"{path}:{number}: {name} is already defined at {seen[name]}")
        seen[name] = f"{path}:{number}"
        if kind == "part":
            insert_parts(lines, {}, (path, number + 1), used)
            parts[name] = lines
    for path, kind, name, number, lines in everything:
        if kind == "part":
            continue
        whole = insert_parts(lines, parts, (path, number + 1), used)
        sql, params = strip("\n".join(whole), (path, number + 1))
        if not sql:
            raise Refused(f"{path}:{number}: {name} has no text")
        found.append((name, sql, check_params(name, params, (path, number))))
    for name in sorted(set(parts) - used):
        raise Refused(f"{seen[name]}: nobody uses the part {name}")
    return found


def c_escape(data):
    """UTF-8 bytes as the inside of a C string literal."""
    out = []
    for b in data:
        c = chr(b)
        if c in "\\\"?":                # ? so that no trigraph can arise
            out.append("\\" + c)
        elif c == "\n":
            out.append("\\n")
        elif c == "\t":
            out.append("\\t")
        elif 32 <= b < 127:
            out.append(c)
        else:
            out.append(f"\\{b:03o}")
    return "".join(out)


def c_bytes(data):
    """Bytes as the inside of a char array initialiser, NUL-terminated."""
    rows = [data[i:i + 16] for i in range(0, len(data), 16)]
    # char is signed here: a byte over 127 is written as the negative number it means
    return "".join("\t" + " ".join(f"{b - 256 if b > 127 else b}," for b in row) + "\n" for row in rows) + "\t0\n"


def c_statement(name, sql, n_params):
    """One struct bf_pg_stmt, its text before it when too long for a literal."""
    data = sql.encode("utf-8")
    if len(data) > LITERAL_MAX:
        return (f"static const char text_{name}[] = {{\n{c_bytes(data)}}};\n"
                f"const struct bf_pg_stmt sql_{name} = {{ \"{name}\", text_{name}, {n_params} }};\n")
    lines = data.split(b"\n")
    rows = [line + b"\n" for line in lines[:-1]] + [lines[-1]]
    text = "\n".join(f"\t\"{c_escape(row)}\"" for row in rows)
    return f"const struct bf_pg_stmt sql_{name} = {{\n\t\"{name}\",\n{text},\n\t{n_params}\n}};\n"


def render(found, header_name):
    """The texts of the .c and the .h file."""
    note = "/* Generated by tools/gen_sql.py from src/store/sql; do not edit. */\n"
    guard = re.sub(r"\W", "_", header_name).upper()
    header = note + f"#ifndef {guard}\n#define {guard}\n#include \"backfill/reactor.h\"\n\n"
    header += "".join(f"extern const struct bf_pg_stmt sql_{name};\n" for name, _, _ in found)
    header += "\n/* Every statement above, so that a test can prepare them all. */\n"
    header += "extern const struct bf_pg_stmt *const sql_all[];\nextern const size_t sql_n_all;\n#endif\n"
    source = note + f"#include \"{header_name}\"\n\n"
    source += "\n".join(c_statement(*one) for one in found)
    source += "\nconst struct bf_pg_stmt *const sql_all[] = {\n"
    source += "".join(f"\t&sql_{name},\n" for name, _, _ in found)
    source += "};\nconst size_t sql_n_all = sizeof(sql_all) / sizeof(sql_all[0]);\n"
    return source, header


def main(argv):
    if len(argv) < 4:
        print("usage: gen_sql.py OUT.c OUT.h IN.sql...", file=sys.stderr)
        return 2
    try:
        found = collect([Path(name) for name in argv[3:]])
    except (Refused, OSError, UnicodeDecodeError) as problem:
        print(f"gen_sql.py: {problem}", file=sys.stderr)
        return 1
    source, header = render(found, Path(argv[2]).name)
    Path(argv[1]).write_text(source, encoding="ascii")
    Path(argv[2]).write_text(header, encoding="ascii")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv))
