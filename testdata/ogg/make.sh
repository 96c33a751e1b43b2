#!/bin/sh
# Makes the files of this folder; the tests read them and never run it.
# Made with espeak-ng 1.51, sox 14.4.2, ffmpeg 5.1.9, opus-tools 0.2, vorbis-tools 1.4.2
# and libopus 1.3.1.
#
#   NAME.opus  NAME.s16   Ogg Opus, and what libopus decodes of it at 24 kHz
#   NAME.ogg   NAME.s16   Ogg Vorbis, and what libvorbis decodes of it
#   lengths.txt           samples that opusdec gives at 48 kHz, by file
#
# The .s16 files are signed 16-bit little-endian, interleaved.
set -eu
cd "$(dirname "$0")"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
espeak-ng -v en -s 160 -w "$work/speech.wav" "Hello there, how are you?"

# input RATE CHANNELS SECONDS: speech; every other channel is quieter and late
input() {
	sox -D "$work/speech.wav" -r "$1" "$work/mono.wav" gain -3 trim 0.05 "$3"
	pan= i=0
	while [ $i -lt "$2" ]; do
		pan="$pan|c$i=$([ $((i % 2)) = 0 ] && echo c0 || echo 0.6*c0)"
		i=$((i + 1))
	done
	case $2 in 1) layout=mono ;; 2) layout=stereo ;; 6) layout=5.1 ;; 8) layout=7.1 ;; esac
	ffmpeg -v error -y -i "$work/mono.wav" -af "pan=$layout$pan" -bitexact "$work/in.wav"
}

# opus NAME RATE CHANNELS SECONDS FFMPEG-OPTION...
opus() {
	name=$1
	input "$2" "$3" "$4"
	shift 4
	ffmpeg -v error -y -i "$work/in.wav" -c:a libopus "$@" -bitexact -f ogg "$name.opus"
}

# vorbis NAME RATE CHANNELS SECONDS QUALITY
vorbis() {
	input "$2" "$3" "$4"
	oggenc --quiet -s 7 -q "$5" -o "$1.ogg" "$work/in.wav"
	oggdec --quiet -b 16 -e 0 -s 1 -R -o "$1.s16" "$1.ogg"
}

rm -f ./*.opus ./*.ogg ./*.s16
opus celt_mono_20ms 48000 1 0.4 -application lowdelay -b:a 48k
opus celt_stereo_2.5ms 48000 2 0.15 -application lowdelay -b:a 96k -frame_duration 2.5
opus silk_mono_20ms 16000 1 0.5 -application voip -b:a 14k
opus silk_mono_60ms 8000 1 0.4 -application voip -b:a 10k -frame_duration 60
opus silk_stereo_20ms 16000 2 0.3 -application voip -b:a 24k
opus hybrid_mono_20ms 48000 1 0.4 -application voip -b:a 28k
opus hybrid_stereo_10ms 24000 2 0.3 -application voip -b:a 56k -frame_duration 10
input 44100 1 0.4003
opusenc --quiet --serial 7 --bitrate 24 --framesize 40 --max-delay 80 --discard-comments "$work/in.wav" opusenc_44100hz.opus

for file in *.opus; do
	python3 libopus.py "$file" >"${file%.opus}.s16"
	opusdec --quiet --rate 48000 --no-dither "$file" "$work/out.raw"
	echo "$file $(($(stat -c %s "$work/out.raw") / 2))"
done >lengths.txt

vorbis vorbis_22050hz_mono 22050 1 0.3 2
vorbis vorbis_44100hz_stereo 44100 2 0.12 4
vorbis vorbis_16000hz_6ch 16000 6 0.12 3
