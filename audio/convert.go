package audio

import (
	"errors"
	"io"
	"slices"
)

// convert converts src to another format. If the number of channels is the same and one or
// two, it changes only the rate. Otherwise it mixes the channels to their average, and copies
// the average to all channels of the new format. It resamples by the FIR method: n frames at
// rate r become exactly round(n·rate/r).
func convert(src Source, to Format) (Source, error) {
	from := src.Format()
	if from.Channels != to.Channels && from.Channels > 1 || from.Channels > 2 && from.Rate != to.Rate {
		src = Mono(src)
	}
	if from.Rate != to.Rate {
		var err error
		if src, err = resampleChannels(src, to.Rate); err != nil {
			return nil, err
		}
	}
	if src.Format().Channels < to.Channels {
		src = copiedChannels{src, to.Channels}
	}
	return src, nil
}

// copiedChannels copies a mono source to several channels.
type copiedChannels struct {
	mono     Source
	channels int
}

func (d copiedChannels) Format() Format {
	return Format{Rate: d.mono.Format().Rate, Channels: d.channels}
}

func (d copiedChannels) ReadSamples(p []float32) (int, error) {
	n, err := d.mono.ReadSamples(p[:len(p)/d.channels])
	for i := n - 1; i >= 0; i-- {
		for c := range d.channels {
			p[d.channels*i+c] = p[i]
		}
	}
	return d.channels * n, err
}

// errFormatChange ends a section: the next section has another format, which the
// decoder's Format returns from then on.
var errFormatChange = errors.New("the format changes")

// constantFormat is a decoder with a constant format. It converts each section between two
// changes to the format of the first section, independently of the others.
type constantFormat struct {
	decoder
	info      Info // of the first section
	format    Format
	converted Source
	section   *section
	delivered int64 // frames
	warnings  warnings
}

// newConstantFormat keeps the present format of dec.
func newConstantFormat(dec decoder) decoder {
	s := &constantFormat{decoder: dec, info: dec.Info(), format: dec.Format()}
	_ = s.begin() // cannot fail: the first section is not converted
	return s
}

// begin begins the next section of the decoder.
func (s *constantFormat) begin() (err error) {
	s.section = &section{src: s.decoder, format: s.decoder.Format()}
	if s.converted = s.section; s.section.format != s.format {
		s.converted, err = convert(s.section, s.format)
	}
	return err
}

func (s *constantFormat) Format() Format { return s.format }

func (s *constantFormat) Info() Info { return s.info }

func (s *constantFormat) Warnings() []string {
	return append(slices.Clone(s.decoder.Warnings()), s.warnings...)
}

// LFE returns the channel for low-frequency effects, or -1.
func (s *constantFormat) LFE() int {
	if dec, ok := s.decoder.(lowFrequency); ok {
		return dec.LFE()
	}
	return -1
}

func (s *constantFormat) ReadSamples(p []float32) (int, error) {
	for {
		n, err := s.converted.ReadSamples(p)
		s.delivered += int64(n / s.format.Channels)
		if err == nil || !s.section.isChanged {
			return n, err
		}
		from := s.section.format
		if err := s.begin(); err != nil {
			return 0, err
		}
		s.warnings.add("after %.3f s %v follows %v; it is converted to %v", s.format.Duration(s.delivered).Seconds(),
			s.section.format, from, s.format)
	}
}

// section is a decoder up to the next change of its format.
type section struct {
	src       decoder
	format    Format
	isChanged bool // the decoder has passed the section's end
}

func (s *section) Format() Format { return s.format }

func (s *section) ReadSamples(p []float32) (int, error) {
	if s.isChanged {
		return 0, io.EOF
	}
	n, err := s.src.ReadSamples(p)
	if errors.Is(err, errFormatChange) {
		s.isChanged, err = true, io.EOF
	}
	return n, err
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

// splitChannels splits a stereo source into two mono ones. Both are read at the same pace, so
// each queue holds little more than one read.
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
