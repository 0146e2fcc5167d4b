#!/usr/bin/python3
"""Makes backfilld.ini(5) from the commented sample, so that the two cannot disagree.

    tools/gen_man.py conf/backfilld.ini OUTPUT

The sample's form is what `backfilld` prints: a comment above a [section] says what it is for, a comment above `;key = default`
explains the keys down to the next comment. A section without comments at its keys has those of an earlier one.
"""
import re
import sys
from pathlib import Path

HEAD = r"""
.\" Generated from conf/backfilld.ini by tools/gen_man.py.
.Dd November 22, 2026
.Dt BACKFILLD.INI 5
.Os backfilld
.Sh NAME
.Nm backfilld.ini
.Nd configuration of backfilld
.Sh DESCRIPTION
.Xr backfilld 8
reads
.Pa /etc/backfilld/backfilld.ini ,
or the file that its option
.Fl c
names, when it starts and again at
.Dv SIGHUP .
A key that is not set has the default that is shown here.
An unknown section, an unknown or doubled key and a value out of range are errors;
.Ql backfilld check
prints all of them.
.Pp
.Bl -bullet -compact
.It
A line is
.Ql [section] ,
.Ql key = value ,
a comment, or empty.
It has at most 199 bytes.
.It
A comment begins with a semicolon at the start of a line or behind a blank.
.It
Durations take
.Cm ms , s , m , h
and
.Cm d ;
sizes take
.Cm B , KiB
and
.Cm MiB .
.It
Secrets never stand in this file.
Each is given either as
.Ar NAME Ns Cm _env ,
the name of an environment variable that is read at the start, or as
.Ar NAME Ns Cm _file ,
a file whose first line it is and which is read again at each reload.
.Ql ${CREDENTIALS_DIRECTORY}
is expanded in the names of these files.
.El
"""
TAIL = r"""
.Sh FILES
.Bl -tag -width Ds
.It Pa /etc/backfilld/backfilld.ini
.El
.Sh EXAMPLES
What a unit with
.Cm LoadCredential
needs; everything else has a default:
.Bd -literal -offset indent
[daemon]
contact = books@example.org

[database]
conninfo = host=/var/run/postgresql dbname=openlibrary user=backfilld

[admin]
secret_file = ${CREDENTIALS_DIRECTORY}/webhook

[provider.gemini]
api_key_file = ${CREDENTIALS_DIRECTORY}/gemini

[provider.xai]
api_key_file = ${CREDENTIALS_DIRECTORY}/xai

[provider.isbndb]
api_key_file = ${CREDENTIALS_DIRECTORY}/isbndb
.Ed
.Sh SEE ALSO
.Xr backfilld 8
"""


def escape(text):
    """Text that roff takes as it stands."""
    text = text.replace("\\", r"\e").replace("-", r"\-").replace('"', r"\(dq")
    return "\\&" + text if text[:1] in (".", "'") else text


def sentences(comment):
    """A comment with each sentence on a line of its own, as roff likes it."""
    text = " ".join(comment)
    return [escape(s) for s in re.split(r"(?<=[.:;]) (?=[A-Z])", text) if s]


def parse(text):
    """[(section, its comment, [(keys with defaults, their comment)])]."""
    sections, comment = [], []
    for number, line in enumerate(text.splitlines(), 1):
        key = re.fullmatch(r";(\w+) =(?: (.*))?", line)
        section = re.fullmatch(r"\[([\w.]+)\]", line)
        if section:
            sections.append((section.group(1), comment, []))
            comment = []
        elif key:
            groups = sections[-1][2]
            if comment or not groups:
                groups.append(([], comment))
            groups[-1][0].append((key.group(1), key.group(2) or ""))
            comment = []
        elif line == ";" or line.startswith("; "):
            comment.append(line[2:])
        elif not line.strip():
            comment = []        # the head of the file belongs to no section
        else:
            sys.exit(f"gen_man: line {number} of the sample is none of its kinds: {line!r}")
    return sections


def literal(keys):
    """Keys and defaults as they stand in the file."""
    return [".Bd -literal -offset indent -compact", *(escape(f"{k} = {v}".rstrip()) for k, v in keys), ".Ed"]


def render(sections):
    """The lines between head and tail."""
    for name, comment, groups in sections:
        yield f'.Sh "[{name}]"'
        yield from sentences(comment)
        if not any(help_text for _, help_text in groups):
            yield "The keys and their defaults:"
            for keys, _ in groups:
                yield from literal(keys)
            continue
        yield ".Bl -tag -width Ds"
        for keys, help_text in groups:
            for key, default in keys:
                yield f'.It Cm "{escape(f"{key} = {default}".rstrip())}"'
            yield from sentences(help_text)
        yield ".El"


def main(argv):
    source, target = argv
    sections = parse(Path(source).read_text(encoding="utf-8"))
    lines = [HEAD.strip(), *render(sections), TAIL.strip()]
    Path(target).write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
