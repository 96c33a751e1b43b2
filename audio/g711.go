package audio

import sixteen "echocast/internal/pcm"

// G.711 stores the logarithm of a sample in 8 bits. There are only 256 codes, so
// decoding is a look-up (ITU-T G.711, tables 1 and 2; its 13 and 14 bit values
// are scaled to 16 bits).

var mulawSamples, alawSamples = g711Table(func(code byte) int { return int(sixteen.DecodeMuLaw(code)) }),
	g711Table(alaw)

func g711Table(expand func(code byte) int) (table [256]float32) {
	for code := range table {
		table[code] = float32(expand(byte(code))) / 32768
	}
	return table
}

// alaw expands a code: a sign, the number of the segment (each twice as wide as
// the one before, but for the lowest two) and four bits for the place within it.
// Every second bit is stored inverted.
func alaw(code byte) int {
	code ^= 0x55
	segment, place := code>>4&7, int(code&15)
	v := place<<4 + 8
	if segment > 0 {
		v = (v + 256) << (segment - 1)
	}
	if code&0x80 == 0 {
		return -v
	}
	return v
}

func decodeMulaw(dst []float32, src []byte) {
	src = src[:len(dst)]
	for i := range dst {
		dst[i] = mulawSamples[src[i]]
	}
}

func decodeAlaw(dst []float32, src []byte) {
	src = src[:len(dst)]
	for i := range dst {
		dst[i] = alawSamples[src[i]]
	}
}
