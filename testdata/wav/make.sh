#!/bin/sh
# Makes the files of this folder; the tests read them and never run it.
# Made with sox 14.4.2, FFmpeg 5.1.9 and espeak-ng 1.51.
#
#   NAME       a WAV, AIFF or AU file
#   NAME.f32   its samples as sox or FFmpeg decode it: 32-bit float, little-endian
set -eu
cd "$(dirname "$0")"
rm -f -- *.wav *.aiff *.aifc *.au *.f32
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# The sources have 32 bits, so that no codec's lower bits are empty: 0.1 s of
# speech, and channels that differ.
sox -D -V1 ../speech.wav -b 32 -r 8000 "$work/1.wav" trim 0.3 0.1 gain -2
sox -D -V1 -M "$work/1.wav" "|sox -n -r 8000 -b 32 -p synth 0.1 sine 300-3000 gain -6" -b 32 "$work/2.wav"
for channels in 6 8; do
	sox -D -V1 -n -r 8000 -b 32 -c "$channels" "$work/$channels.wav" synth 0.04 sine 300 sine 400 sine 500 sine 50 sine 700 sine 800 sine 900 sine 1000 gain -3
done

ffmpeg() { command ffmpeg -v error -y "$@"; }
from_ffmpeg() { ffmpeg -i "${2:-$1}" -f f32le "$1.f32"; }
from_sox() { sox -D -V1 "${2:-$1}" -t f32 "$1.f32"; }

# by_ffmpeg NAME CHANNELS [OPTION...]: a file
by_ffmpeg() {
	name=$1 source=$work/$2.wav
	shift 2
	ffmpeg -i "$source" "$@" "$name"
	from_ffmpeg "$name"
}

# pipe_ffmpeg NAME CHANNELS [OPTION...]: written to a pipe, sizes unknown
pipe_ffmpeg() {
	name=$1 source=$work/$2.wav
	shift 2
	ffmpeg -i "$source" "$@" - | cat >"$name"
	case $name in
	pipe_ffmpeg_rf64.wav | pipe_ffmpeg.aiff) # FFmpeg 5.1 does not read back what it piped
		from_ffmpeg "$name" s16le_mono.wav ;;
	*) from_ffmpeg "$name" ;;
	esac
}

# pipe_sox NAME CHANNELS TYPE [OPTION...]: the same by sox, which also has to
# read its input from a pipe, of unknown length
pipe_sox() {
	name=$1 channels=$2 type=$3
	shift 3
	sox -D -V1 "$work/$channels.wav" -t s32 - | sox -D -V1 -t s32 -r 8000 -c "$channels" - "$@" -t "$type" - 2>/dev/null | cat >"$name"
	from_ffmpeg "$name"
}

for codec in u8 s16le s24le s32le f32le f64le alaw mulaw; do
	by_ffmpeg "${codec}_mono.wav" 1 -c:a "pcm_$codec"
done
by_ffmpeg u8_stereo.wav 2 -c:a pcm_u8
by_ffmpeg s16le_stereo.wav 2 -c:a pcm_s16le
by_ffmpeg s24le_stereo.wav 2 -c:a pcm_s24le
by_ffmpeg mulaw_stereo.wav 2 -c:a pcm_mulaw
by_ffmpeg s16le_5.1.wav 6 -channel_layout 5.1 -c:a pcm_s16le
by_ffmpeg s24le_7.1.wav 8 -channel_layout 7.1 -c:a pcm_s24le
by_ffmpeg bext.wav 1 -c:a pcm_s16le -write_bext 1 -metadata description=odd
by_ffmpeg rf64.wav 1 -c:a pcm_s16le -rf64 always

# Every code there is
for code in $(seq 0 255); do printf "\\$(printf %o "$code")"; done >"$work/codes"
for codec in alaw mulaw; do
	ffmpeg -f "$codec" -ar 8000 -ac 1 -i "$work/codes" -c:a copy "codes_$codec.wav"
	from_sox "codes_$codec.wav"
done

pipe_ffmpeg pipe_ffmpeg.wav 1 -c:a pcm_s16le -f wav
pipe_ffmpeg pipe_ffmpeg_bitexact.wav 1 -c:a pcm_s16le -f wav -bitexact
pipe_ffmpeg pipe_ffmpeg_f32le.wav 1 -c:a pcm_f32le -f wav
pipe_ffmpeg pipe_ffmpeg_rf64.wav 1 -c:a pcm_s16le -f wav -rf64 always
pipe_sox pipe_sox.wav 1 wav -b 16
pipe_sox pipe_sox_s24le.wav 1 wav -b 24
espeak-ng -s 450 --stdout i | cat >pipe_espeak.wav
from_ffmpeg pipe_espeak.wav

# FFmpeg 5.1 takes RIFX for little-endian, and sox rounds 32-bit samples to
# its own taste, so FFmpeg decodes the little-endian twin.
for bits in 8 16 24 32; do
	sox -D -V1 "$work/2.wav" -B -b "$bits" "rifx_$bits.wav"
	sox -D -V1 "$work/2.wav" -L -b "$bits" "$work/twin.wav"
	from_ffmpeg "rifx_$bits.wav" "$work/twin.wav"
done
sox -D -V1 "$work/1.wav" -B -e floating-point -b 32 rifx_float.wav
sox -D -V1 "$work/1.wav" -L -e floating-point -b 32 "$work/twin.wav"
from_ffmpeg rifx_float.wav "$work/twin.wav"
sox -D -V1 "$work/1.wav" -B -e u-law rifx_mulaw.wav
from_sox rifx_mulaw.wav

# Neither program cuts off the padding of the last block that the fact chunk
# tells of; where there is any, FRAMES does. FFmpeg rounds otherwise.
# adpcm NAME CHANNELS FRAMES [PROGRAM OPTION...]
adpcm() {
	name=$1 source=$work/$2.wav frames=$3
	shift 3
	if [ "$1" = sox ]; then
		shift
		sox -D -V1 "$source" "$@" "$name"
	else
		ffmpeg -i "$source" "$@" "$name"
	fi
	sox -D -V1 "$name" -t f32 "$name.f32" trim 0s "$frames"
}
adpcm ima_sox_mono.wav 1 800s sox -e ima-adpcm
adpcm ima_sox_stereo.wav 2 800s sox -e ima-adpcm
adpcm ms_sox_mono.wav 1 800s sox -e ms-adpcm
adpcm ms_sox_stereo.wav 2 800s sox -e ms-adpcm
adpcm ima_ffmpeg_mono.wav 1 -0s -c:a adpcm_ima_wav -block_size 256
adpcm ima_ffmpeg_stereo.wav 2 -0s -c:a adpcm_ima_wav -block_size 256
adpcm ms_ffmpeg_mono.wav 1 -0s -c:a adpcm_ms -block_size 256
adpcm ms_ffmpeg_stereo.wav 2 -0s -c:a adpcm_ms -block_size 256
# The last block is cut short, and the header claims it whole.
for kind in ima_sox ms_sox; do
	head -c -111 ${kind}_mono.wav >${kind}_mono_cut.wav
	head -c -311 ${kind}_stereo.wav >${kind}_stereo_cut.wav
	from_sox ${kind}_mono_cut.wav 2>/dev/null
	from_sox ${kind}_stereo_cut.wav 2>/dev/null
done

# One stream of two files
cat s16le_mono.wav bext.wav >two_files.wav
cat s16le_mono.wav.f32 bext.wav.f32 >two_files.wav.f32
cat pipe_ffmpeg.wav pipe_ffmpeg_bitexact.wav >two_pipes.wav
cat pipe_ffmpeg.wav.f32 pipe_ffmpeg_bitexact.wav.f32 >two_pipes.wav.f32
cat pipe_sox_s24le.wav s24le_mono.wav >two_pipes_s24le.wav
cat pipe_sox_s24le.wav.f32 s24le_mono.wav.f32 >two_pipes_s24le.wav.f32

for bits in 8 16 24 32; do
	sox -D -V1 "$work/2.wav" -b "$bits" "s$bits.aiff"
	from_ffmpeg "s$bits.aiff"
done
sox -D -V1 "$work/1.wav" -b 16 -t aifc none.aifc
from_ffmpeg none.aifc
for codec in s16le f32be f64be alaw mulaw; do # sowt, fl32, fl64, alaw, ulaw
	by_ffmpeg "$codec.aifc" 1 -c:a "pcm_$codec" -f aiff
done
pipe_ffmpeg pipe_ffmpeg.aiff 1 -c:a pcm_s16be -f aiff
pipe_sox pipe_sox.aiff 1 aiff -b 16

for codec in mulaw alaw s8 s16be s24be s32be f32be f64be; do
	by_ffmpeg "$codec.au" 1 -c:a "pcm_$codec"
done
pipe_ffmpeg pipe_ffmpeg.au 2 -c:a pcm_s16be -f au
sox -D -V1 "$work/2.wav" -b 16 --comment "a note of its own" s16_sox.au
from_ffmpeg s16_sox.au
