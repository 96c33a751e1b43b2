package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math"

	"echocast/audio"
	"echocast/probe"
)

// printPlans does for each input what sending would do, but for the network, and
// prints what it found: --dry-run.
func (s *settings) printPlans(ctx context.Context, names []string, stdin io.Reader, streams Streams) error {
	messages, err := s.messages()
	if err != nil {
		return err
	}
	for _, name := range names {
		in, err := openInput(ctx, name, stdin, &s.prepare)
		if err != nil {
			return cancelled(ctx, err)
		}
		plan, err := probe.MakePlan(ctx, name, in.audio, messages)
		in.close()
		if err != nil {
			return cancelled(ctx, in.failed(err))
		}
		text := planText(plan)
		if s.json {
			line, _ := json.Marshal(plan) // numbers and strings always marshal
			text = string(line) + "\n"
		}
		if _, err := io.WriteString(streams.Out, text); err != nil {
			return stdoutError{err}
		}
	}
	return nil
}

// messages says how the inputs are cut into messages.
func (s *settings) messages() (probe.Messages, error) {
	samples, err := s.chunkSamples()
	return probe.Messages{Conversation: s.conversationID(), Samples: samples, Rate: s.speechRate}, err
}

// planText is a plan for people.
func planText(p *probe.Plan) string {
	text := fmt.Sprintf(`%s
  input     %s, %s, %s
  length    %.3f s, %d samples at %d Hz
  messages  %d of %.0f ms, at most %d bytes each, %d in all
  bandwidth %.0f kbit/s in real time
  first     %s
`, printable(p.Source), p.Container, p.Codec, audio.Format{Rate: p.Rate, Channels: p.Channels}, p.Seconds, p.Samples, int(math.Round(float64(p.Samples)/p.Seconds)),
		p.Messages, 1000*p.ChunkSeconds, p.MessageBytes, p.Bytes, p.BitsPerSecond/1000, p.FirstMessage)
	if p.ClippedSamples > 0 {
		text += fmt.Sprintf("  clipped   %d samples\n", p.ClippedSamples)
	}
	for _, warning := range p.Warnings {
		text += "  note      " + printable(warning) + "\n"
	}
	return text
}
