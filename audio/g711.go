package audio

import sixteen "echocast/internal/pcm"

// G.711 stores the logarithm of a sample in 8 bits. There are only 256 codes, so
// decoding is a look-up (ITU-T G.711, tables 1 and 2; its 13 and 14 bit values
// are scaled to 16 bits).

var mulawSamples, alawSamples = g711Table(sixteen.DecodeMuLaw), g711Table(sixteen.DecodeALaw)

func g711Table(expand func(code byte) int16) (table [256]float32) {
	for code := range table {
		table[code] = float32(expand(byte(code))) / 32768
	}
	return table
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
