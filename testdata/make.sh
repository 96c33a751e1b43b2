#!/bin/sh
# Makes speech.wav. The suite does not run this: its output is committed.
# Needs espeak-ng 1.51.
cd "$(dirname "$0")" || exit 1
espeak-ng -v en-gb -s 150 -w speech.wav "Hello. I am a replica, and I say exactly what I am given. Not a word more, and not a word less."
