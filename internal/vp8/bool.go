package vp8

// boolWriter is the arithmetic coder of section 7.3. It writes each bit given the
// probability, in units of 1/256, that the bit is 0.
type boolWriter struct {
	out    []byte
	width  uint32 // of the interval, 128 to 255
	bottom uint32 // of the interval; its upper byte is written next
	left   int    // shifts until a byte is complete
}

func newBoolWriter(out []byte) boolWriter { return boolWriter{out: out, width: 255, left: 24} }

func (w *boolWriter) bit(is bool, probability uint8) {
	split := 1 + (w.width-1)*uint32(probability)>>8
	if is {
		w.bottom += split
		w.width -= split
	} else {
		w.width = split
	}
	for w.width < 128 {
		w.width <<= 1
		if w.bottom&(1<<31) != 0 {
			w.carry()
		}
		w.bottom <<= 1
		if w.left--; w.left == 0 {
			w.out = append(w.out, byte(w.bottom>>24))
			w.bottom &= 1<<24 - 1
			w.left = 8
		}
	}
}

// carry adds one to the bytes already written.
func (w *boolWriter) carry() {
	at := len(w.out) - 1
	for ; w.out[at] == 255; at-- {
		w.out[at] = 0
	}
	w.out[at]++
}

// literal writes an n-bit number, the highest bit first.
func (w *boolWriter) literal(v uint32, n int) {
	for n--; n >= 0; n-- {
		w.bit(v>>n&1 != 0, 128)
	}
}

// flush writes what is left.
func (w *boolWriter) flush() []byte {
	for range 32 {
		w.bit(false, 128)
	}
	return w.out
}
