#!/usr/bin/env python3
"""Decodes datagrams of onebeat by its schema alone, as a client in another language would.

    decode.py onebeat.xml < datagrams

Each line of the input is a datagram in hexadecimal; each line of the output is a JSON
list of its messages. Nothing but the XML says what they are; it needs no package.
"""
import json
import struct
import sys
import uuid
import xml.etree.ElementTree as ET

FORMATS = {"uint8": "B", "uint16": "H", "uint32": "I", "uint64": "Q", "int8": "b", "int16": "h", "int32": "i", "int64": "q"}
ENCODING_SBE = 0xEB50


class Schema:
    """The messages and enums of an SBE schema with fixed-size blocks."""

    def __init__(self, path):
        root = ET.parse(path).getroot()
        self.id, self.version = int(root.get("id")), int(root.get("version"))
        self.order = "<" if root.get("byteOrder") == "littleEndian" else ">"
        self.types, self.enums = {}, {}
        for t in root.find("types"):
            if t.tag == "enum":
                self.types[t.get("name")] = (t.get("encodingType"), 1)
                self.enums[t.get("name")] = {int(v.text): v.get("name") for v in t}
            elif t.tag == "type":
                self.types[t.get("name")] = (t.get("primitiveType"), int(t.get("length", "1")))
        self.messages = {int(m.get("id")): m for m in root if m.tag.endswith("message")}

    def value(self, field, block):
        kind, offset = field.get("type"), int(field.get("offset"))
        primitive, length = self.types.get(kind, (kind, 1))
        size = struct.calcsize(FORMATS[primitive])
        if offset + size * length > len(block):
            return None  # the writer's version had no such field
        if length > 1:
            return str(uuid.UUID(bytes=block[offset : offset + length]))
        (number,) = struct.unpack_from(self.order + FORMATS[primitive], block, offset)
        if kind in self.enums:
            return self.enums[kind].get(number, number)
        return number

    def message(self, raw):
        block, template, schema, version = struct.unpack_from(self.order + "4H", raw)
        if schema != self.id or version >> 8 != self.version >> 8 or len(raw) != 8 + block:
            raise ValueError(f"schema {schema} version {version}, block of {block} in {len(raw)} bytes")
        m = self.messages[template]
        out = {"message": m.get("name")}
        for field in m:
            if (value := self.value(field, raw[8:])) is not None:
                out[field.get("name")] = value
        return out

    def datagram(self, b):
        messages = []
        while b:
            length, encoding = struct.unpack_from(">IH", b)
            if encoding != ENCODING_SBE or not 14 <= length <= len(b):
                raise ValueError(f"framing: {length} bytes, encoding {encoding:#x}, {len(b)} left")
            messages.append(self.message(b[6:length]))
            b = b[length:]
        return messages


def main():
    schema = Schema(sys.argv[1])
    for line in sys.stdin:
        print(json.dumps(schema.datagram(bytes.fromhex(line))))


if __name__ == "__main__":
    main()
