"""How programs begin: machine code of operating systems and virtual machines, and scripts.

ELF: https://refspecs.linuxfoundation.org/elf/gabi4+/ch4.eheader.html. PE:
https://learn.microsoft.com/windows/win32/debug/pe-format. Mach-O: Apple's `mach-o/loader.h`.
WebAssembly: https://webassembly.github.io/spec/core/binary/modules.html.
"""

from re import DOTALL
from re import compile as pattern

# Enough of a program to tell it.
PROGRAM_HEAD_BYTES = 1024

_ELF = pattern(rb"\x7fELF[\x01\x02][\x01\x02]\x01", DOTALL)
_MACH_O = pattern(
    rb"(?:\xfe\xed\xfa[\xce\xcf]|[\xce\xcf]\xfa\xed\xfe)(?:[\x07\x0c]\0\0[\x00\x01]|[\x00\x01]\0\0[\x07\x0c])",
    DOTALL,
)
_FAT = pattern(
    rb"\xca\xfe\xba[\xbe\xbf]\0\0\0[\x01-\x1e]\0\0\0|\xca\xfe\xba[\xbe\xbf]\0\0\0[\x01-\x1e]\x01"
)
_JAVA = pattern(rb"\xca\xfe\xba\xbe\0[\x00\x03]\0[\x2d-\x60]")
_DEX = pattern(rb"dex\n0\d\d\0")
_WASM = b"\0asm\x01\0\0\0"
_SCRIPT = pattern(rb"#! ?/[\w./-]+|(?i:@echo off)|<\?php")
_PE_POINTER_AT = 0x3C
_DOS_STUB = b"This program "


def program_family(head: bytes) -> str:
    """The kind of program that content is which begins so; empty if it is none."""
    if _ELF.match(head):
        return "ELF program"
    if head.startswith(b"MZ") and _is_windows(head):
        return "Windows program"
    if _MACH_O.match(head) or _FAT.match(head):
        return "Mach-O program"
    if head.startswith(_WASM):
        return "WebAssembly program"
    if _JAVA.match(head) or _DEX.match(head):
        return "Java program"
    return "script" if _SCRIPT.match(head) else ""


def _is_windows(head: bytes) -> bool:
    at = int.from_bytes(head[_PE_POINTER_AT : _PE_POINTER_AT + 4], "little")
    signed = at > 0 and head[at : at + 4] == b"PE\0\0"
    return (
        signed or _DOS_STUB in head[:256] or (len(head) > at >= 0x40 and head[at : at + 2] == b"NE")
    )
