package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"echocast/audio"
	"echocast/chunker"
	"echocast/echo"
)

// plan is what --dry-run tells of one input: what sending it would be, without
// the sending.
type plan struct {
	Source         string   `json:"source"`
	Container      string   `json:"container"`
	Codec          string   `json:"codec"`
	Rate           int      `json:"rate"`     // Hz, of the input
	Channels       int      `json:"channels"` // of the input
	Seconds        float64  `json:"seconds"`
	Samples        int64    `json:"samples"` // at 24 kHz
	ChunkSeconds   float64  `json:"chunk_seconds"`
	Messages       int      `json:"messages"`
	MessageBytes   int      `json:"message_bytes"` // of the longest
	Bytes          int64    `json:"bytes"`
	BitsPerSecond  float64  `json:"bits_per_second"` // in real time
	FirstMessage   string   `json:"first_message"`   // with its audio shortened
	Warnings       []string `json:"warnings"`
	ClippedSamples int64    `json:"clipped_samples"`
}

// plan does for each input what sending would do, but for the network, and
// prints what it found.
func (s *settings) plan(ctx context.Context, names []string, stdin io.Reader, streams Streams) error {
	samples, err := s.chunkSamples()
	if err != nil {
		return err
	}
	for _, name := range names {
		in, err := s.open(ctx, name, stdin)
		if err != nil {
			return cancelled(ctx, err)
		}
		p, err := s.planOne(ctx, in, samples)
		in.close()
		if err != nil {
			return cancelled(ctx, in.failed(err))
		}
		if err := p.print(streams.Out, s.json); err != nil {
			return stdoutError{err}
		}
	}
	return nil
}

func (s *settings) planOne(ctx context.Context, in *input, size int) (*plan, error) {
	info := in.audio.Info()
	p := &plan{
		Source: in.name, Container: info.Container, Codec: info.Codec, Rate: info.Format.Rate, Channels: info.Format.Channels,
		ChunkSeconds: float64(size) / echo.DefaultRate, Warnings: []string{},
	}
	encoder, err := echo.NewEncoder(echo.Utterance{ConversationID: s.conversation, InferenceID: echo.NewInferenceID(), Rate: echo.DefaultRate})
	if err != nil {
		return nil, err
	}
	var msg []byte
	for chunk, err := range chunker.New(in.source, size).All() {
		if err = errors.Join(err, ctx.Err()); err != nil {
			return nil, err
		}
		msg = encoder.Append(msg[:0], chunk.PCM, chunk.Last)
		p.add(msg, len(chunk.PCM))
	}
	if p.Messages == 0 {
		return nil, echo.ErrNoAudio
	}
	p.Seconds = float64(p.Samples) / echo.DefaultRate
	p.BitsPerSecond = 8 * float64(p.Bytes) / p.Seconds
	p.ClippedSamples = encoder.Clipped()
	p.Warnings = append(p.Warnings, in.warnings()...)
	return p, nil
}

func (p *plan) add(msg []byte, samples int) {
	if p.Messages == 0 {
		p.FirstMessage = shortened(string(msg))
	}
	p.Messages++
	p.Samples += int64(samples)
	p.Bytes += int64(len(msg))
	p.MessageBytes = max(p.MessageBytes, len(msg))
}

// shortened takes most of the audio out of a message.
func shortened(msg string) string {
	const mark, keep = `"audio":"`, 16
	at := strings.Index(msg, mark) + len(mark)
	end := at + strings.IndexByte(msg[at:], '"')
	if end-at <= 2*keep {
		return msg
	}
	return msg[:at+keep] + "..." + msg[end-keep:]
}

func (p *plan) print(w io.Writer, asJSON bool) error {
	if asJSON {
		line, _ := json.Marshal(p) // numbers and strings always marshal
		_, err := fmt.Fprintf(w, "%s\n", line)
		return err
	}
	text := fmt.Sprintf(`%s
  input     %s, %s, %s
  length    %.3f s, %d samples at %d Hz
  messages  %d of %.0f ms, at most %d bytes each, %d in all
  bandwidth %.0f kbit/s in real time
  first     %s
`, printable(p.Source), p.Container, p.Codec, audio.Format{Rate: p.Rate, Channels: p.Channels}, p.Seconds, p.Samples, echo.DefaultRate,
		p.Messages, 1000*p.ChunkSeconds, p.MessageBytes, p.Bytes, p.BitsPerSecond/1000, p.FirstMessage)
	if p.ClippedSamples > 0 {
		text += fmt.Sprintf("  clipped   %d samples\n", p.ClippedSamples)
	}
	for _, warning := range p.Warnings {
		text += "  note      " + printable(warning) + "\n"
	}
	_, err := io.WriteString(w, text)
	return err
}
