#!/bin/sh
# Makes lines of JSON with audio in them, as realtime services send it. The suite
# does not run this: its output is committed.
cd "$(dirname "$0")" || exit 1

# pieces NAME: the bytes of a file in pieces of 1001, one base64 text a line.
pieces() {
	split -b 1001 -d --filter='base64 -w 0; echo' "$1"
}

{
	echo '{"type":"session.created"}'
	pieces ../mp3/speech_24000hz_mono_cbr64.mp3 | sed 's/.*/{"type":"response.output_audio.delta","delta":"&"}/'
	echo '{"type":"response.done"}'
} >mp3_in_delta.ndjson
{
	echo ': a comment'
	pieces ../mp3/speech_8000hz_mono_cbr32.mp3 | sed 's/.*/data: {"delta":"&"}/'
	echo 'data: [DONE]'
} >mp3_in_delta.sse
