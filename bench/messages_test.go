package bench

import (
	"testing"

	"echocast/chunker"
	"echocast/echo"
)

// BenchmarkChunk cuts a stream into chunks.
func BenchmarkChunk(b *testing.B) {
	for _, chunk := range chunks {
		n := samplesOf(chunk)
		b.Run(chunk.String()+"/echocast", func(b *testing.B) {
			cutter := chunker.New(newEndless(echo.DefaultRate), n)
			countSamples(b, n)
			for b.Loop() {
				if _, err := cutter.Next(); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(chunk.String()+"/memcpy", func(b *testing.B) { benchmarkCopy(b, n) })
	}
}

// BenchmarkEncode builds the message of a chunk that lies in memory.
func BenchmarkEncode(b *testing.B) {
	for _, chunk := range chunks {
		n := samplesOf(chunk)
		b.Run(chunk.String()+"/echocast", func(b *testing.B) {
			encoder, src := newEncoder(b), newEndless(echo.DefaultRate)
			msg := make([]byte, 0, encoder.Size(n))
			countSamples(b, n)
			for b.Loop() {
				msg = encoder.Append(msg[:0], src.next(n), false)
			}
		})
		b.Run(chunk.String()+"/naive", func(b *testing.B) {
			u, src := newUtterance(), newEndless(echo.DefaultRate)
			countSamples(b, n)
			for b.Loop() {
				if _, err := naiveEncode(u, src.next(n), false); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(chunk.String()+"/memcpy", func(b *testing.B) { benchmarkCopy(b, n) })
	}
}

// BenchmarkChunkEncode cuts a stream into chunks and builds their messages:
// all that lies between the samples and the connection.
func BenchmarkChunkEncode(b *testing.B) {
	for _, chunk := range chunks {
		n := samplesOf(chunk)
		b.Run(chunk.String()+"/echocast", func(b *testing.B) {
			next := newMessages(b, n)
			countSamples(b, n)
			for b.Loop() {
				next()
			}
			reportSpeed(b, chunk)
		})
		b.Run(chunk.String()+"/naive", func(b *testing.B) {
			u, src, pcm := newUtterance(), newEndless(echo.DefaultRate), make([]float32, n)
			countSamples(b, n)
			for b.Loop() {
				fill(src, pcm)
				if _, err := naiveEncode(u, pcm, false); err != nil {
					b.Fatal(err)
				}
			}
			reportSpeed(b, chunk)
		})
		b.Run(chunk.String()+"/memcpy", func(b *testing.B) { benchmarkCopy(b, n) })
	}
}

// newMessages returns what builds the next message of an endless utterance in
// chunks of n samples.
func newMessages(t testing.TB, n int) (next func()) {
	encoder, cutter := newEncoder(t), chunker.New(newEndless(echo.DefaultRate), n)
	msg := make([]byte, 0, encoder.Size(n))
	return func() {
		chunk, err := cutter.Next()
		if err != nil {
			t.Fatal(err)
		}
		msg = encoder.Append(msg[:0], chunk.PCM, chunk.Last)
	}
}

// fill reads a whole chunk.
func fill(src *endless, pcm []float32) {
	for have := 0; have < len(pcm); {
		n, _ := src.ReadSamples(pcm[have:]) // never fails
		have += n
	}
}

// Thousands of utterances in one process would keep the collector busy
// otherwise.
func TestChunkEncodeAllocatesNothing(t *testing.T) {
	for _, chunk := range chunks {
		next := newMessages(t, samplesOf(chunk))
		next() // the encoder makes room for its samples
		if allocs := testing.AllocsPerRun(1000, next); allocs != 0 {
			t.Errorf("%v: %v allocations a chunk, want 0", chunk, allocs)
		}
	}
}
