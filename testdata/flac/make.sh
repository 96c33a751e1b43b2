#!/bin/sh
# Makes the files of this folder; the tests read them and never run it.
# Made with espeak-ng 1.51, sox 14.4.2, ffmpeg 5.1.9 and flac 1.4.2.
#
#   NAME.flac  NAME.raw   FLAC, and what flac decodes of it: signed little-endian
#                         samples of as many whole bytes as they need
set -eu
cd "$(dirname "$0")"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
espeak-ng -v en -s 160 -w "$work/speech.wav" "Hello there, how are you?"

# input RATE CHANNELS SECONDS BITS: speech; every other channel is quieter
input() {
	sox -D "$work/speech.wav" -b 24 -r "$1" "$work/mono.wav" gain -3 trim 0.05 "$3"
	case $2 in
	1) sox -D "$work/mono.wav" -b "$4" "$work/in.wav" ;;
	2) sox -D "$work/mono.wav" -b "$4" "$work/in.wav" remix 1 1v0.6 ;;
	8) sox -D "$work/mono.wav" -b "$4" "$work/in.wav" remix 1 1v0.6 1v0.5 1v0.4 1v0.3 1v0.2 1v0.1 1 ;;
	esac
}

decode() {
	flac --totally-silent -f -d --force-raw-format --endian=little --sign=signed -o "$1.raw" "$1.flac"
}

# encode NAME RATE CHANNELS SECONDS BITS FLAC-OPTION...
encode() {
	name=$1
	input "$2" "$3" "$4" "$5"
	shift 5
	flac --totally-silent -f "$@" -o "$name.flac" "$work/in.wav"
	decode "$name"
}

rm -f ./*.flac ./*.raw
encode 24000hz_mono_16bit 24000 1 0.3 16 -8
encode 8000hz_mono_8bit 8000 1 0.3 8 -5
encode 44100hz_stereo_16bit 44100 2 0.1 16 -8 -b 1152
encode 48000hz_stereo_24bit 48000 2 0.05 24 -5
encode 16000hz_8ch_16bit 16000 8 0.05 16 -5
encode 176400hz_mono_16bit 176400 1 0.05 16 -5 --lax

# to a pipe: the header tells no length
input 24000 1 0.2 16
ffmpeg -v error -i "$work/in.wav" -bitexact -f flac - | cat >24000hz_mono_16bit_pipe.flac
decode 24000hz_mono_16bit_pipe
