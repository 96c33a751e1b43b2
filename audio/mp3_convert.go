package audio

// convert gives src, of one channel or two, in another such format. One channel
// becomes two alike, two become their average, and another rate is resampled by
// the FIR method: n frames at rate r become exactly round(n·rate/r).
func convert(src Source, to Format) (Source, error) {
	from := src.Format()
	if to.Channels == 1 {
		src = Mono(src)
	}
	if from.Rate != to.Rate {
		var err error
		if src, err = resampleChannels(src, to.Rate); err != nil {
			return nil, err
		}
	}
	if src.Format().Channels < to.Channels {
		src = doubled{src}
	}
	return src, nil
}

// doubled gives a mono source on two channels.
type doubled struct{ mono Source }

func (d doubled) Format() Format { return Format{Rate: d.mono.Format().Rate, Channels: 2} }

func (d doubled) ReadSamples(p []float32) (int, error) {
	n, err := d.mono.ReadSamples(p[:len(p)/2])
	for i := n - 1; i >= 0; i-- {
		p[2*i], p[2*i+1] = p[i], p[i]
	}
	return 2 * n, err
}

// resampleChannels resamples one channel, or two side by side.
func resampleChannels(src Source, rate int) (Source, error) {
	if src.Format().Channels == 1 {
		return newFIR(src, rate)
	}
	split := &splitChannels{src: src}
	left, err := newFIR(splitChannel{split, 0}, rate)
	if err != nil {
		return nil, err
	}
	right, err := newFIR(splitChannel{split, 1}, rate)
	if err != nil {
		return nil, err
	}
	return &joinedChannels{sides: [2]Source{left, right}}, nil
}

// splitFrames is how many frames splitChannels reads at once.
const splitFrames = 1152

// splitChannels takes a stereo source apart. Its two readers keep pace, so each
// queue holds what one read gave and little more.
type splitChannels struct {
	src    Source
	frames [2 * splitFrames]float32
	queues [2][]float32
	err    error
}

// splitChannel is a reader of one side, a mono Source.
type splitChannel struct {
	*splitChannels
	side int
}

func (s splitChannel) Format() Format { return Format{Rate: s.src.Format().Rate, Channels: 1} }

func (s splitChannel) ReadSamples(p []float32) (int, error) {
	queue := &s.queues[s.side]
	if len(*queue) == 0 {
		if err := s.read(min(len(p), splitFrames)); err != nil {
			return 0, err
		}
	}
	n := copy(p, *queue)
	*queue = append((*queue)[:0], (*queue)[n:]...)
	return n, nil
}

// read puts up to n more frames into the queues.
func (s *splitChannels) read(n int) error {
	if s.err != nil {
		return s.err
	}
	n, s.err = s.src.ReadSamples(s.frames[:2*n])
	for i := 0; i < n; i += 2 {
		s.queues[0] = append(s.queues[0], s.frames[i])
		s.queues[1] = append(s.queues[1], s.frames[i+1])
	}
	return s.err
}

// joinedChannels puts two mono sources of one length side by side.
type joinedChannels struct {
	sides  [2]Source
	buffer [splitFrames]float32
}

func (j *joinedChannels) Format() Format { return Format{Rate: j.sides[0].Format().Rate, Channels: 2} }

func (j *joinedChannels) ReadSamples(p []float32) (int, error) {
	want := min(len(p)/2, splitFrames)
	for side, src := range j.sides {
		n, err := readAtLeastOne(src, j.buffer[:want], side == 1)
		if err != nil {
			return 0, err
		}
		want = n
		for i, v := range j.buffer[:n] {
			p[2*i+side] = v
		}
	}
	return 2 * want, nil
}

// readAtLeastOne reads once, or until p is full.
func readAtLeastOne(src Source, p []float32, full bool) (n int, err error) {
	for n == 0 || full && n < len(p) {
		var more int
		if more, err = src.ReadSamples(p[n:]); err != nil {
			return n, err
		}
		n += more
	}
	return n, nil
}
