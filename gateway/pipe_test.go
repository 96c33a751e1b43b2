package gateway

import (
	"bytes"
	"io"
	"math/rand/v2"
	"testing"
)

// A pipe returns what was written, in order and once, whatever the order of writes and reads.
// With a fast reader it holds little and allocates nothing.
func TestPipe(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // a test
	p := newPipe()
	var written, read []byte
	out := make([]byte, 6000)
	for i := range 20_000 {
		piece := make([]byte, random.IntN(6000))
		for k := range piece {
			piece[k] = byte(i + k)
		}
		p.put(piece)
		written = append(written, piece...)
		for len(read) < len(written) && random.IntN(8) > 0 {
			n, err := p.Read(out[:1+random.IntN(len(out))])
			if err != nil || n == 0 {
				t.Fatal(n, err)
			}
			read = append(read, out[:n]...)
		}
	}
	p.finish(io.EOF)
	rest, err := io.ReadAll(p)
	if err != nil || !bytes.Equal(append(read, rest...), written) {
		t.Errorf("%v: %d of %d bytes came out, or others", err, len(read)+len(rest), len(written))
	}
	if allocations := testing.AllocsPerRun(100, func() {
		q := p
		q.end, q.isGone = nil, false
		q.put(out[:4800])
		_, _ = q.Read(out[:4096])
		_, _ = q.Read(out[:4096])
	}); allocations > 0 {
		t.Errorf("%v allocations for a frame", allocations)
	}
}
