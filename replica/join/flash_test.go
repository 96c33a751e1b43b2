package join

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
)

// If this variable is set, the test binary is a program that draws for an avatar.
const flashEnv = "ECHOCAST_TEST_FLASH"

// flash draws white pictures for loud sound and black ones for silence.
func flash(pcm io.Reader, out io.Writer) {
	const width, height = 160, 120
	in, w := bufio.NewReader(pcm), bufio.NewWriter(out)
	fmt.Fprintf(w, "YUV4MPEG2 W%d H%d F25:1 C420jpeg\n", width, height)
	samples := make([]byte, 2*960)
	for n := 0; ; n++ {
		if _, err := io.ReadFull(in, samples); err != nil {
			return
		}
		luma := byte(16)
		for i := 0; i < len(samples); i += 2 {
			if v := int16(binary.LittleEndian.Uint16(samples[i:])); v > 4000 {
				luma = 235
			}
		}
		fmt.Fprintf(w, "FRAME Xt=%.3f\n", float64(n)*0.04)
		for range width * height {
			_ = w.WriteByte(luma) // Flush tells
		}
		for range width * height / 2 {
			_ = w.WriteByte(128)
		}
		if w.Flush() != nil {
			return
		}
	}
}
