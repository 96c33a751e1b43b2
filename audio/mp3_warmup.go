package audio

// warmUp keeps the latest frames of a stream, as many as a decoder that begins
// in mid-stream has to decode first to go on bit for bit like one that began at
// the front. Three things reach from frame to frame:
//
//   - main data: those of a layer III frame may begin up to 511 bytes earlier,
//     not counting headers and side information (ISO/IEC 11172-3, 2.4.2.7);
//   - the filters: the second half of each block and 480 samples of the
//     synthesis window (2.4.3.4.9 and 2.4.3.2.2), so the last settled frames
//     must be right themselves;
//   - the order of summation in the synthesis filter, whose buffer turns round
//     by 12, 18 or 36 of 16 places each frame: it is the same again after
//     warmUpPeriod frames.
type warmUp struct {
	bytes  []byte
	frames []warmUpFrame
	count  int // frames since the stream began
}

type warmUpFrame struct {
	header mpegHeader
	length int
	own    int // bytes of main data
}

const (
	warmUpSettled = 3
	warmUpPeriod  = 8
	// maxGathered is how many frames may gather before those that nothing needs
	// any more are dropped.
	maxGathered = 64
	// maxWarmUp bounds the frames that are kept for their main data: one byte of
	// each is enough. Frames without any are of no use.
	maxWarmUp = maxMainDataBegin
)

// restart forgets the frames: another stream begins.
func (w *warmUp) restart() { *w = warmUp{bytes: w.bytes[:0], frames: w.frames[:0]} }

// take takes the next frame, or the tag that begins the next stream.
func (w *warmUp) take(coded codedFrame) {
	if coded.tag != nil {
		w.restart()
		return
	}
	w.add(coded.header, coded.bytes)
}

// add takes the next frame.
func (w *warmUp) add(h mpegHeader, frame []byte) {
	if len(w.frames) >= maxGathered {
		w.drop()
	}
	own := maxMainDataBegin // layers I and II refer to nothing
	if h.Layer == 3 {
		own = len(cutFrame(h, frame).own)
	}
	w.bytes = append(w.bytes, frame...)
	w.frames = append(w.frames, warmUpFrame{h, len(frame), own})
	w.count++
}

// drop forgets the frames that nothing needs any more.
func (w *warmUp) drop() {
	first, at := w.firstNeeded(), 0
	for _, frame := range w.frames[:first] {
		at += frame.length
	}
	w.bytes = append(w.bytes[:0], w.bytes[at:]...)
	w.frames = append(w.frames[:0], w.frames[first:]...)
}

// firstNeeded is the index of the first frame that is needed.
func (w *warmUp) firstNeeded() int {
	first, main := w.firstDecoded(), 0
	for least := max(0, first-maxWarmUp); first > least && main < maxMainDataBegin; {
		first--
		main += w.frames[first].own
	}
	oldest := w.count - len(w.frames)
	return max(0, first-(oldest+first)%warmUpPeriod)
}

// firstDecoded is the index of the first frame that must be decoded as it is. Those
// before only give their main data.
func (w *warmUp) firstDecoded() int {
	return max(0, len(w.frames)-warmUpSettled)
}
