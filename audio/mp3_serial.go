package audio

// serialFrames decodes one frame after the other in the goroutine of its caller.
type serialFrames struct {
	frames  *mpegFrames
	decoder *frameDecoder
	pcm     []float32
	history *warmUp // nil if no other decoder will ever continue
}

func newSerialFrames(frames *mpegFrames) (*serialFrames, error) {
	h := frames.stream
	decoder, err := newFrameDecoder(h)
	if err != nil {
		return nil, err
	}
	return &serialFrames{frames: frames, decoder: decoder, pcm: make([]float32, h.samples()*h.Channels)}, nil
}

func (s *serialFrames) next() (decodedFrame, error) {
	coded, err := s.frames.nextCoded()
	if err != nil {
		return decodedFrame{}, err
	}
	if s.history != nil {
		s.history.take(coded)
	}
	frame := decodedFrame{header: coded.header, tag: coded.tag}
	if coded.tag != nil {
		return frame, s.decoder.restart()
	}
	n, damaged, err := s.decoder.decode(coded.bytes, s.pcm)
	frame.samples, frame.damaged = s.pcm[:n], damaged
	return frame, err
}

func (s *serialFrames) ready() bool { return false }

func (s *serialFrames) close() { s.decoder.close() }

// codedFrame is a frame that this build reads, valid until the next one.
type codedFrame struct {
	header mpegHeader
	bytes  []byte
	tag    *xingTag // if the frame is a stream's first and holds no sound
}

// nextCoded is like next, but also examines the frame. The frame it returns is complete or
// silent. The error also wraps ErrFormat if this build does not read the frame.
func (f *mpegFrames) nextCoded() (codedFrame, error) {
	h, frame, err := f.next()
	if err == nil {
		err = refuse(h, frame)
	}
	if err != nil {
		return codedFrame{}, err
	}
	if tag, ok := parseXingTag(h, frame); ok {
		f.main.held = 0
		return codedFrame{header: h, bytes: frame, tag: new(tag)}, nil
	}
	return codedFrame{header: h, bytes: f.main.complete(h, frame)}, nil
}
