//go:build !cgo

package audio

import (
	"bytes"
	"testing"
)

// Between two frames the packer keeps everything that the next can refer to, and little more.
func TestFramePackerHistory(t *testing.T) {
	var p framePacker
	var all []byte
	for n := range 400 {
		own := noise(uint64(n), n%300)
		all = append(all, own...)
		p.remember(own)
		if !bytes.HasSuffix(all, p.latest) {
			t.Fatalf("after %d frames the latest bytes are not the latest", n)
		}
		if got := len(p.latest); got < min(len(all), maxMainDataBegin) || got > maxMainDataBegin+len(own) {
			t.Fatalf("after %d frames of %d bytes %d are kept", n, len(all), got)
		}
	}
	if maxMainDataBegin != 1<<9-1 {
		t.Errorf("main_data_begin has 9 bits, not a maximum of %d", maxMainDataBegin)
	}
}

// After the input, the filters still ring for one frame and a part of the next.
func TestSynthesisDecay(t *testing.T) {
	mp3 := testMP3(t, "speech_24000hz_mono_cbr64.mp3")
	var p framePacker
	var s synthesis
	var last layer3Frame
	for at := 192; at < len(mp3)/2; at += 192 {
		h, _ := parseMPEGHeader(mp3[at:])
		last = cutFrame(h, mp3[at:at+192])
		p.remember(last.own)
		packed, err := p.pack(last, s.held)
		if err == nil {
			err = s.decode(packed)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	decoder := s.normal.decoder
	for n := range 2 {
		if !s.started() {
			t.Fatalf("gone after %d frames", n)
		}
		if err := s.rest(p.silent(last)); err != nil || allZero(s.normal.pcm) {
			t.Fatalf("frame %d: silent or %v", n, err)
		}
	}
	if s.started() {
		t.Error("it rests on")
	}
	s.normal.decoder = decoder
	if err := s.decode(p.silent(last)); err != nil || !allZero(s.normal.pcm) {
		t.Errorf("it still sounds, or %v", err)
	}
}
