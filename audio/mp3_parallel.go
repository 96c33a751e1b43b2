package audio

import "sync"

const (
	// parallelLead is how many frames are decoded one by one before others are
	// decoded ahead: the first second or two. Short speech never starts a
	// goroutine, and long speech is not heard later.
	parallelLead = 64
	// segmentFrames is how many frames are decoded in one piece. For each piece, usually 8 or
	// 16 frames have to be decoded before as a warm-up.
	segmentFrames = 64
	// maxMP3Workers limits the memory: each worker has one piece of 0.7 MB, and two more
	// pieces wait to be read or filled.
	maxMP3Workers = 4
)

// parallelFrames decodes segments of a stream on several processors at once. A reader goroutine
// cuts the input into segments, and workers decode each segment after its own warm-up. next
// returns the frames in order, bit for bit as serialFrames would. Segments are reused: they are
// free, then in both jobs and ordered, then done, then free again. All goroutines have ended
// when close returns.
type parallelFrames struct {
	frames    *mpegFrames
	history   *warmUp
	free      chan *mp3Segment
	jobs      chan *mp3Segment
	ordered   chan *mp3Segment
	stop      chan struct{}
	isStopped bool
	running   sync.WaitGroup

	current *mp3Segment
	item    int // frames of current that were returned
	given   int // their samples
}

// mp3Segment is a row of frames, decoded in one piece.
type mp3Segment struct {
	coded  []byte
	frames []segmentFrame
	warmUp int // how many of frames are only warm-up
	pcm    []float32
	err    error         // why no frames follow; nil if they do
	done   chan struct{} // receives once, when the segment is decoded
}

type segmentFrame struct {
	header  mpegHeader
	tag     *xingTag
	length  int
	samples int
	damaged error
}

// newParallelFrames continues from the current position of frames, after those of history, with
// so many decoders.
func newParallelFrames(frames *mpegFrames, history *warmUp, workers int) (*parallelFrames, error) {
	decoders := make([]*frameDecoder, workers)
	for i := range decoders {
		var err error
		if decoders[i], err = newFrameDecoder(frames.stream); err != nil {
			closeDecoders(decoders[:i])
			return nil, err
		}
	}
	count := workers + 2
	p := &parallelFrames{
		frames:  frames,
		history: history,
		free:    make(chan *mp3Segment, count),
		jobs:    make(chan *mp3Segment, count),
		ordered: make(chan *mp3Segment, count),
		stop:    make(chan struct{}),
	}
	for range count {
		p.free <- &mp3Segment{done: make(chan struct{}, 1)}
	}
	p.running.Go(p.read)
	for _, decoder := range decoders {
		p.running.Go(func() { p.work(decoder) })
	}
	return p, nil
}

func closeDecoders(decoders []*frameDecoder) {
	for _, decoder := range decoders {
		decoder.close()
	}
}

// close ends the goroutines and waits for them. It may be called twice.
func (p *parallelFrames) close() {
	if !p.isStopped {
		p.isStopped = true
		close(p.stop)
		p.running.Wait()
	}
}

// read fills segments until the frames end. Its sends never block, because the channels have
// room for all segments.
func (p *parallelFrames) read() {
	defer close(p.jobs)
	for {
		select {
		case <-p.stop:
			return
		case s := <-p.free:
			s.warm(p.history)
			err := s.fill(p.frames, p.history)
			s.err = err
			p.jobs <- s
			p.ordered <- s
			if err != nil {
				return
			}
		}
	}
}

// work decodes segments until there are no more.
func (p *parallelFrames) work(decoder *frameDecoder) {
	defer decoder.close()
	for s := range p.jobs {
		select {
		case <-p.stop:
			return
		default:
			s.decode(decoder)
			s.done <- struct{}{}
		}
	}
}

// next returns the next frame in order.
func (p *parallelFrames) next() (decodedFrame, error) {
	for p.current == nil || p.item == len(p.current.frames) {
		if p.current != nil {
			if p.current.err != nil {
				return decodedFrame{}, p.current.err
			}
			p.free <- p.current
		}
		p.current = <-p.ordered
		<-p.current.done
		p.item, p.given = min(p.current.warmUp, len(p.current.frames)), 0
	}
	frame := p.current.frames[p.item]
	p.item++
	samples := p.current.pcm[p.given:][:frame.samples]
	p.given += frame.samples
	return decodedFrame{frame.header, frame.tag, samples, frame.damaged}, nil
}

func (p *parallelFrames) ready() bool { return p.current != nil && p.item < len(p.current.frames) }

// warm empties s and adds the frames of history that it needs. The first ones are needed only
// for their main data.
func (s *mp3Segment) warm(history *warmUp) {
	history.drop()
	s.coded = append(s.coded[:0], history.bytes...)
	s.frames, s.warmUp = s.frames[:0], len(history.frames)
	coded, settled, held := s.coded, history.firstDecoded(), 0
	for i, frame := range history.frames {
		if i < settled && frame.header.Layer == 3 {
			silenceFrame(frame.header, coded[:frame.length], held)
			held = min(maxMainDataBegin, held+frame.own)
		}
		coded = coded[frame.length:]
		s.frames = append(s.frames, segmentFrame{header: frame.header, length: frame.length})
	}
}

// fill adds the next frames. The error says why there are no more.
func (s *mp3Segment) fill(frames *mpegFrames, history *warmUp) error {
	for range segmentFrames {
		coded, err := frames.nextCoded()
		if err != nil {
			return err
		}
		history.take(coded)
		s.coded = append(s.coded, coded.bytes...)
		s.frames = append(s.frames, segmentFrame{header: coded.header, tag: coded.tag, length: len(coded.bytes)})
	}
	return nil
}

// decode decodes the frames to samples.
func (s *mp3Segment) decode(decoder *frameDecoder) {
	if err := decoder.restart(); err != nil {
		s.frames, s.err = nil, err
		return
	}
	coded, given := s.coded, 0
	for i := range s.frames {
		frame := &s.frames[i]
		err := s.decodeFrame(decoder, frame, coded[:frame.length], given)
		if err != nil {
			s.frames, s.err = s.frames[:i], err
			return
		}
		if coded = coded[frame.length:]; i >= s.warmUp {
			given += frame.samples
		}
	}
}

// decodeFrame decodes a frame into s.pcm, from index at on.
func (s *mp3Segment) decodeFrame(decoder *frameDecoder, frame *segmentFrame, coded []byte, at int) (err error) {
	if frame.tag != nil {
		return decoder.restart()
	}
	size := frame.header.samples() * frame.header.Channels
	if len(s.pcm) < at+size {
		s.pcm = append(s.pcm, make([]float32, segmentFrames*size)...)
	}
	frame.samples, frame.damaged, err = decoder.decode(coded, s.pcm[at:][:size])
	return err
}
