package audio

// monoFrames is how many frames Mono requests at a time.
const monoFrames = 4096

// lowFrequency is a Source that knows which of its channels carries only low-frequency
// effects. LFE returns -1 if there is none.
type lowFrequency interface{ LFE() int }

// Mono mixes the channels of src to one, their average. The sum is calculated in float32, so
// it cannot wrap around. The channel for low-frequency effects, which the LFE method of an
// Input returns, is not part of the mix (as in ITU-R BS.775). If src is mono, Mono returns it.
func Mono(src Source) Source {
	format := src.Format()
	if format.Channels == 1 {
		return src
	}
	m := &mono{src: src, format: format, lfe: -1, buf: make([]float32, monoFrames*format.Channels)}
	if s, ok := src.(lowFrequency); ok {
		m.lfe = s.LFE()
	}
	return m
}

type mono struct {
	src    Source
	format Format // of src
	lfe    int    // the channel that is left out, or -1 if there is none
	buf    []float32
}

func (m *mono) Format() Format { return Format{Rate: m.format.Rate, Channels: 1} }

func (m *mono) ReadSamples(p []float32) (int, error) {
	channels := m.format.Channels
	n, err := m.src.ReadSamples(m.buf[:min(len(p), monoFrames)*channels])
	frames := n / channels
	switch {
	case m.lfe >= 0:
		averageWithout(p[:frames], m.buf, channels, m.lfe)
	case channels == 2:
		averageStereo(p[:frames], m.buf)
	default:
		average(p[:frames], m.buf, channels)
	}
	return frames, err
}

func averageStereo(dst, src []float32) {
	at := 0
	for ; at <= len(dst)-4; at += 4 {
		out, in := (*[4]float32)(dst[at:]), (*[8]float32)(src[2*at:])
		out[0] = (in[0] + in[1]) * 0.5
		out[1] = (in[2] + in[3]) * 0.5
		out[2] = (in[4] + in[5]) * 0.5
		out[3] = (in[6] + in[7]) * 0.5
	}
	dst, src = dst[at:], src[2*at:2*len(dst)]
	for i := range dst {
		dst[i] = (src[2*i] + src[2*i+1]) * 0.5
	}
}

func average(dst, src []float32, channels int) {
	for i := range dst {
		var sum float32
		for _, v := range src[i*channels : (i+1)*channels] {
			sum += v
		}
		dst[i] = sum / float32(channels)
	}
}

func averageWithout(dst, src []float32, channels, without int) {
	for i := range dst {
		var sum float32
		for c, v := range src[i*channels : (i+1)*channels] {
			if c != without {
				sum += v
			}
		}
		dst[i] = sum / float32(channels-1)
	}
}
