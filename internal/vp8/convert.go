package vp8

import "image"

// Convert converts part of a picture to 4:2:0 and to the video range of levels (ITU-R
// BT.601). The edges of the part must be even.
func Convert(to *image.YCbCr, from *image.RGBA, part image.Rectangle) {
	for y := part.Min.Y; y < part.Max.Y; y += 2 {
		for x := part.Min.X; x < part.Max.X; x += 2 {
			var r, g, b int
			for _, at := range [4][2]int{{0, 0}, {1, 0}, {0, 1}, {1, 1}} {
				p := from.Pix[from.PixOffset(x+at[0], y+at[1]):][:3]
				to.Y[to.YOffset(x+at[0], y+at[1])] = studio(int(p[0]), int(p[1]), int(p[2]))
				r, g, b = r+int(p[0]), g+int(p[1]), b+int(p[2])
			}
			c := to.COffset(x, y)
			to.Cb[c] = byte(128 + (-38*r-74*g+112*b)/1024)
			to.Cr[c] = byte(128 + (112*r-94*g-18*b)/1024)
		}
	}
}

// studio is the luma of a colour, from 16 to 235.
func studio(r, g, b int) byte { return byte(16 + (66*r+129*g+25*b+128)/256) }
