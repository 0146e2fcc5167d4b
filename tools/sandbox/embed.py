#!/usr/bin/python3
"""Writes a file's bytes as a C array: embed.py INPUT OUTPUT."""
import sys

source, target = sys.argv[1], sys.argv[2]
with open(source, 'rb') as f:
    data = f.read()
with open(target, 'w', encoding='ascii') as f:
    f.write('#include <stddef.h>\n'
            'extern const unsigned char embedded_catalogue[];\n'
            'extern const size_t embedded_catalogue_len;\n'
            'const unsigned char embedded_catalogue[] = {\n')
    for i in range(0, len(data), 24):
        f.write(''.join('%d,' % b for b in data[i:i + 24]) + '\n')
    f.write('0};\nconst size_t embedded_catalogue_len = %d;\n' % len(data))
