package audio

// warmUp keeps the latest frames of a stream: those that a decoder that begins in mid-stream has
// to decode first, so that its output is the same, bit for bit, as that of a decoder that began
// at the front. Each frame depends on earlier ones in three ways:
//
//   - main data: that of a layer III frame may begin up to 511 bytes earlier,
//     not counting headers and side information (ISO/IEC 11172-3, 2.4.2.7);
//   - the filters: the second half of each block and 480 samples of the
//     synthesis window (2.4.3.4.9 and 2.4.3.2.2), so the last settled frames
//     must be right themselves;
//   - the order of summation in the synthesis filter, whose buffer rotates
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
	// maxGathered is how many frames are collected before those that are no longer needed
	// are dropped.
	maxGathered = 64
	// maxWarmUp limits how many frames are kept for their main data. This many are enough if
	// each has at least one byte of it; frames without main data do not help.
	maxWarmUp = maxMainDataBegin
)

// restart forgets the frames, because another stream begins.
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

// drop forgets the frames that are no longer needed.
func (w *warmUp) drop() {
	first, at := w.firstNeeded(), 0
	for _, frame := range w.frames[:first] {
		at += frame.length
	}
	w.bytes = append(w.bytes[:0], w.bytes[at:]...)
	w.frames = append(w.frames[:0], w.frames[first:]...)
}

// firstNeeded returns the index of the first frame that is needed.
func (w *warmUp) firstNeeded() int {
	first, main := w.firstDecoded(), 0
	for least := max(0, first-maxWarmUp); first > least && main < maxMainDataBegin; {
		first--
		main += w.frames[first].own
	}
	oldest := w.count - len(w.frames)
	return max(0, first-(oldest+first)%warmUpPeriod)
}

// firstDecoded returns the index of the first frame that must be decoded with its sound. Earlier
// frames are needed only for their main data.
func (w *warmUp) firstDecoded() int {
	return max(0, len(w.frames)-warmUpSettled)
}
