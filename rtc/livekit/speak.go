package livekit

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	lksdk "github.com/livekit/server-sdk-go/v2"
	"github.com/pion/webrtc/v4"
	"google.golang.org/protobuf/proto"

	"echocast/echo"
)

// participant has the methods of the SDK's participant that speaking needs.
type participant interface {
	PublishDataPacket(packet lksdk.DataPacket, options ...lksdk.DataPublishOption) error
	GetPublisherPeerConnection() *webrtc.PeerConnection
}

// stream is the byte stream of one utterance.
type stream struct {
	id        string
	chunks    uint64
	publisher *webrtc.PeerConnection // it was opened on
}

// Begin prepares the utterance u. Its stream opens with its first sample.
func (r *Room) Begin(u echo.Utterance) error {
	if u.InferenceID == "" {
		return errors.New("livekit: an utterance needs an inference id")
	}
	if u.Rate <= 0 {
		return fmt.Errorf("livekit: sampling rate %d Hz", u.Rate)
	}
	r.next = u
	r.audio.Reset()
	return nil
}

// Clipped returns how many samples of the utterance were beyond full scale.
func (r *Room) Clipped() int64 { return r.audio.Clipped() }

// Speak sends pcm, and closes the stream after the last chunk. It returns the size of the
// packets in bytes. An utterance without a sample sends nothing.
//
// Speak blocks while more than Options.HighWater bytes wait for the server's
// acknowledgement, and while the connection is being resumed. The error is the cause of
// ctx, net.ErrClosed, or echo.ErrLost with ErrAvatarGone or ErrLost.
func (r *Room) Speak(ctx context.Context, pcm []float32, last bool) (sent int, err error) {
	if err := r.acquire(ctx); err != nil {
		return 0, speakError(err)
	}
	defer func() { <-r.speakLock }()
	sent, err = r.speak(ctx, pcm, last)
	return sent, speakError(err)
}

func speakError(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, ErrAvatarGone), errors.Is(err, ErrLost):
		return fmt.Errorf("%w: livekit: %w", echo.ErrLost, err)
	}
	return fmt.Errorf("livekit: speak: %w", err)
}

// acquire takes the slot of Speak and Interrupt.
func (r *Room) acquire(ctx context.Context) error {
	if err := r.lifetime.Err(ctx); err != nil {
		return err
	}
	return r.lifetime.Acquire(ctx, r.speakLock)
}

func (r *Room) speak(ctx context.Context, pcm []float32, last bool) (sent int, err error) {
	if r.stream == nil || r.stream.id != r.next.InferenceID {
		if len(pcm) == 0 {
			return 0, nil
		}
		if sent, err = r.open(ctx); err != nil {
			return sent, err
		}
	}
	for piece := range slices.Chunk(r.audio.Bytes(pcm), maxChunk) {
		r.note(func(e *entry) { e.samples += int64(len(piece) / 2) })
		n, err := r.publish(ctx, chunk(r.stream.id, r.stream.chunks, piece))
		if err != nil {
			return sent, err
		}
		sent += n
		r.stream.chunks++
	}
	if last {
		n, err := r.closeStream(ctx)
		return sent + n, err
	}
	return sent, nil
}

// open starts the stream of the utterance that was begun. The avatar may report that it has
// started before the call that sends the header returns.
func (r *Room) open(ctx context.Context) (int, error) {
	sent, err := r.closeStream(ctx)
	if r.stream != nil { // a worker may wait for its trailer, and then never reads the next stream
		return sent, err
	}
	now := time.Now()
	r.mu.Lock()
	r.last = r.ledger.open(r.next.InferenceID, r.next.Rate, now)
	r.mu.Unlock()
	r.stream = &stream{id: r.next.InferenceID, publisher: r.sender.GetPublisherPeerConnection()}
	n, err := r.publish(ctx, header(r.next, now))
	return sent + n, err
}

// closeStream closes the open stream, if there is one. If its trailer cannot be sent, the
// stream stays open, and the next utterance or interrupt closes it. The error may also say
// that audio of the stream is lost.
func (r *Room) closeStream(ctx context.Context) (int, error) {
	if r.stream == nil {
		return 0, nil
	}
	r.note(func(e *entry) { e.isClosed = true })
	n, err := r.publish(ctx, trailer(r.stream.id))
	if err == nil {
		r.stream = nil
	}
	return n, err
}

// note changes the ledger's entry of the stream that was opened last, if there is one.
func (r *Room) note(change func(*entry)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.last != nil {
		change(r.last)
	}
}

// publish sends one packet to the avatar once the send buffer has room. It returns the
// packet's size in bytes.
func (r *Room) publish(ctx context.Context, p packet) (int, error) {
	if err := r.waitForRoom(ctx); err != nil {
		return 0, err
	}
	if err := r.toAvatar(p); err != nil {
		return 0, fmt.Errorf("%w: %v", ErrLost, err)
	}
	return proto.Size(p), nil
}

// toAvatar hands a packet to the SDK.
func (r *Room) toAvatar(p packet) error {
	return r.sender.PublishDataPacket(p, lksdk.WithDataPublishReliable(true),
		lksdk.WithDataPublishDestination([]string{r.options.Avatar}))
}

// waitForRoom blocks while the server is behind or cannot be reached. It fails if the SDK
// has made a new connection since the stream was opened: packets sent over the old
// connection may be lost, and the SDK does not report that.
func (r *Room) waitForRoom(ctx context.Context) error {
	for limit := r.options.HighWater; ; limit = r.options.HighWater / 4 {
		if err := r.lifetime.Err(ctx); err != nil {
			return err
		}
		publisher := r.sender.GetPublisherPeerConnection()
		if publisher != r.stream.publisher {
			return r.abandon(ctx)
		}
		if connected(publisher) && buffered(publisher) <= limit {
			return nil
		}
		pause(ctx, r.lifetime.Ended())
	}
}

// abandon closes a stream of the lost connection over the new one. A worker that never gets
// the trailer would wait for ever.
func (r *Room) abandon(ctx context.Context) error {
	lost := fmt.Errorf("%w: it was made again in the middle of the utterance", ErrLost)
	r.note(func(e *entry) { e.isClosed = true })
	for !connected(r.sender.GetPublisherPeerConnection()) {
		if err := r.lifetime.Err(ctx); err != nil {
			return err
		}
		pause(ctx, r.lifetime.Ended())
	}
	_ = r.toAvatar(trailer(r.stream.id)) // the utterance fails either way
	r.stream = nil
	return lost
}

func connected(peer *webrtc.PeerConnection) bool {
	return peer != nil && peer.ConnectionState() == webrtc.PeerConnectionStateConnected
}

// buffered returns how many bytes the server has not acknowledged.
func buffered(peer *webrtc.PeerConnection) int {
	if peer == nil || peer.SCTP() == nil {
		return 0
	}
	return peer.SCTP().BufferedAmount()
}

// pollInterval is how often a full send buffer is checked. The SDK gives no access to the
// data channel, which could notify us.
const pollInterval = 2 * time.Millisecond

// pause waits for pollInterval. It reports false if ctx or the room has ended.
func pause(ctx context.Context, ended <-chan struct{}) bool {
	timer := time.NewTimer(pollInterval)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ended:
	case <-ctx.Done():
	}
	return false
}
