package rtc

import (
	"errors"
	"fmt"
	"io"
	"testing"

	"github.com/pion/sctp"
)

// If a page closes between the reset of its channel and the reset of ours, that is a close,
// and not a loss.
func TestBrokenBy(t *testing.T) {
	c := &Conn{answered: make(chan struct{})}
	close(c.answered)
	for err, want := range map[error]error{
		io.EOF: ErrPeerGone,
		fmt.Errorf("%w: state=Closed", sctp.ErrResetPacketInStateNotExist): ErrPeerGone,
		fmt.Errorf("%w: %s", sctp.ErrChunk, browserAbort):                  ErrPeerGone,
		fmt.Errorf("%w: abort", sctp.ErrChunk):                             ErrLost,
		errors.New("anything else"):                                        ErrLost,
	} {
		if got := c.brokenBy(err); !errors.Is(got, want) {
			t.Errorf("%v: %v, want %v", err, got, want)
		}
	}
}
