#!/bin/sh
# Makes the files of this folder; the tests read them and never run it.
# Made with espeak-ng 1.51, sox 14.4.2 (libmad 0.15.1b), LAME 3.100 and, for layer
# II, ffmpeg 5.1 with libtwolame 0.4.0.
#
#   speech_RATEhz_CHANNELS.s16               the encoder's input, signed 16-bit little-endian
#   speech_RATEhz_CHANNELS_MODE.mp3          encoded by LAME, or by libtwolame if MODE is layer2
#   speech_RATEhz_CHANNELS_MODE.libmad.s16   that file, decoded by libmad, nothing cut off
set -eu
cd "$(dirname "$0")"
speech=$(mktemp --suffix .wav)
trap 'rm -f "$speech"' EXIT
espeak-ng -v en -s 160 -w "$speech" "Hello there."

# input RATE CHANNELS SECONDS: speech, on the right quieter and with a sweep
input() {
	name=speech_${1}hz_$2.s16
	if [ "$2" = mono ]; then
		sox -D "$speech" -t s16 -r "$1" "$name" gain -3 trim 0.05 "$3"
	else
		sox -D -M "$speech" \
			"|sox -D -m -v 0.5 $speech -v 0.2 '|sox -D -r 22050 -n -p synth 0.8 sine 300-6000' -p" \
			-t s16 -r "$1" "$name" gain -3 trim 0.05 "$3"
	fi
}

# transients RATE SECONDS: speech and clicks on both sides, which LAME codes in
# short blocks as middle and side
transients() {
	clicks="|sox -D -r 22050 -n -p synth 0.8 square 9"
	sox -D -M "|sox -D -m -v 0.4 $speech -v 0.5 '$clicks' -p" "|sox -D -m -v 0.3 $speech -v 0.4 '$clicks' -p" \
		-t s16 -r "$1" "speech_${1}hz_joint.s16" gain -3 trim 0.05 "$2"
}

# encode RATE CHANNELS MODE [LAME OPTION...]
encode() {
	rate=$1 channels=$2 name=speech_${1}hz_$2_$3
	shift 3
	lame --quiet -r --signed --little-endian --bitwidth 16 -s "$rate" -m "$(echo "$channels" | cut -c 1)" \
		--resample "$rate" "$@" "speech_${rate}hz_$channels.s16" "$name.mp3" 2>/dev/null
	decode "$name"
}

# decode NAME: decode with libmad, which outputs the last frame only if something
# follows
decode() {
	{ cat "$1.mp3"; head -c 2000 /dev/zero; } | sox -D -V1 -t mp3 - -t s16 "$1.libmad.s16"
}

# layer2 RATE CHANNELS NUMBER KBIT
layer2() {
	name=speech_${1}hz_$2_layer2
	ffmpeg -v error -y -f s16le -ar "$1" -ac "$3" -i "speech_${1}hz_$2.s16" \
		-c:a libtwolame -b:a "$4k" -f mp2 "$name.mp3"
	decode "$name"
}

input 8000 mono 0.6
input 16000 mono 0.6
input 22050 mono 0.6
input 24000 mono 0.6
input 44100 mono 0.4
input 44100 joint 0.3
input 48000 mono 0.3
transients 22050 0.3

encode 8000 mono cbr32 -b 32
encode 16000 mono cbr64 -b 64
encode 22050 mono cbr32 -b 32 # too small a frame for LAME's tag: nothing tells the delay
encode 22050 mono cbr64 -b 64
encode 22050 mono vbr2 -V 2
encode 22050 joint cbr80 -b 80
encode 24000 mono cbr64 -b 64
encode 44100 mono cbr96_crc -b 96 -p
encode 44100 joint cbr160 -b 160
encode 48000 mono cbr96 -b 96
encode 24000 mono free100 --freeformat -b 100
encode 44100 joint free400 --freeformat -b 400
layer2 22050 mono 1 32
layer2 44100 joint 2 192
