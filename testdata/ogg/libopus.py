"""Decodes an Ogg Opus file with libopus at 24 kHz: the samples on standard output."""
import ctypes
import struct
import sys

RATE, CLOCK, LONGEST = 24000, 48000, 2880
lib = ctypes.CDLL("libopus.so.0")
lib.opus_decoder_create.restype = ctypes.c_void_p


def pages(data):
    at = 0
    while at < len(data):
        flags, granule = data[at + 5], struct.unpack_from("<q", data, at + 6)[0]
        sizes = data[at + 27:at + 27 + data[at + 26]]
        at += 27 + len(sizes)
        yield flags, granule, sizes, data[at:at + sum(sizes)]
        at += sum(sizes)


def packets(data):
    packet, end = b"", 0
    for flags, granule, sizes, body in pages(data):
        for size in sizes:
            packet, body = packet + body[:size], body[size:]
            if size < 255:
                yield packet
                packet = b""
        end = max(end, granule)
    yield end


*all_packets, end = packets(open(sys.argv[1], "rb").read())
head, _, *sound = all_packets
channels, skip = head[9], struct.unpack_from("<H", head, 10)[0]
error = ctypes.c_int()
decoder = ctypes.c_void_p(lib.opus_decoder_create(RATE, channels, ctypes.byref(error)))
pcm, out = (ctypes.c_short * (LONGEST * channels))(), b""
for packet in sound:
    n = lib.opus_decode(decoder, packet, len(packet), pcm, LONGEST, 0)
    assert n > 0
    out += bytes(pcm)[:2 * channels * n]
ratio = CLOCK // RATE
frame = 2 * channels
sys.stdout.buffer.write(out[-(-skip // ratio) * frame:-(-end // ratio) * frame])
