package probe

import (
	"cmp"
	"context"
	"errors"
	"strings"

	"echocast/audio"
	"echocast/chunker"
	"echocast/echo"
)

// Plan describes the messages that sending an input would make: their number, sizes and
// bandwidth.
type Plan struct {
	Source         string   `json:"source"`
	Container      string   `json:"container"`
	Codec          string   `json:"codec"`
	Rate           int      `json:"rate"`     // Hz, of the input
	Channels       int      `json:"channels"` // of the input
	Seconds        float64  `json:"seconds"`
	MaxSeconds     float64  `json:"max_seconds,omitempty"` // the longest input that is allowed
	Samples        int64    `json:"samples"`               // at 24 kHz
	ChunkSeconds   float64  `json:"chunk_seconds"`
	Messages       int      `json:"messages"`
	MessageBytes   int      `json:"message_bytes"` // size of the longest
	Bytes          int64    `json:"bytes"`
	BitsPerSecond  float64  `json:"bits_per_second"` // in real time
	FirstMessage   string   `json:"first_message"`   // with its audio shortened
	Warnings       []string `json:"warnings"`
	ClippedSamples int64    `json:"clipped_samples"`
}

// Messages configures the messages of a Plan.
type Messages struct {
	Conversation string
	Samples      int // of a chunk, as Options.ChunkSamples of package echo returns it
	Rate         int // Hz, that of the input; 0: echo.DefaultRate
}

// Input is audio ready to be sent; *audio.Prepared is one.
type Input interface {
	audio.Source
	Info() audio.Info
	Warnings() []string
}

// MakePlan reads an input to its end and builds every message, without sending any.
// name is the name of the input in the plan. The error is that of the input,
// echo.ErrNoAudio, or the cause of ctx.
func MakePlan(ctx context.Context, name string, in Input, m Messages) (*Plan, error) {
	info, rate := in.Info(), cmp.Or(m.Rate, echo.DefaultRate)
	p := &Plan{
		Source: name, Container: info.Container, Codec: info.Codec, Rate: info.Format.Rate, Channels: info.Format.Channels,
		ChunkSeconds: float64(m.Samples) / float64(rate), Warnings: []string{},
	}
	encoder, err := echo.NewEncoder(echo.Utterance{ConversationID: m.Conversation,
		InferenceID: echo.NewInferenceID(), Rate: rate})
	if err != nil {
		return nil, err
	}
	var msg []byte
	for chunk, err := range chunker.New(in, m.Samples).All() {
		if err = errors.Join(err, context.Cause(ctx)); err != nil {
			return nil, err
		}
		msg = encoder.Append(msg[:0], chunk.PCM, chunk.Last)
		p.add(msg, len(chunk.PCM))
	}
	if p.Messages == 0 {
		return nil, echo.ErrNoAudio
	}
	p.Seconds = float64(p.Samples) / float64(rate)
	p.BitsPerSecond = 8 * float64(p.Bytes) / p.Seconds
	p.ClippedSamples = encoder.Clipped()
	p.Warnings = append(p.Warnings, in.Warnings()...)
	return p, nil
}

func (p *Plan) add(msg []byte, samples int) {
	if p.Messages == 0 {
		p.FirstMessage = shortened(string(msg))
	}
	p.Messages++
	p.Samples += int64(samples)
	p.Bytes += int64(len(msg))
	p.MessageBytes = max(p.MessageBytes, len(msg))
}

// shortened returns a message without most of its audio.
func shortened(msg string) string {
	const mark, keep = `"audio":"`, 16
	at := strings.Index(msg, mark) + len(mark)
	end := at + strings.IndexByte(msg[at:], '"')
	if end-at <= 2*keep {
		return msg
	}
	return msg[:at+keep] + "..." + msg[end-keep:]
}
