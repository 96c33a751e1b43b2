package cli

import (
	"context"
	"io"

	"echocast/probe"
	"echocast/speak"
)

// printPlans reads each input, cuts it into messages as send does, and prints the plan, for
// --dry-run.
func (s *settings) printPlans(ctx context.Context, names []string, stdin io.Reader, streams Streams) error {
	messages, err := s.messages()
	if err != nil {
		return err
	}
	for _, name := range names {
		in, err := speak.Open(ctx, name, stdin, &s.prepare)
		if err != nil {
			return inputFailure(ctx, err)
		}
		plan, err := probe.MakePlan(ctx, name, in.Audio, messages)
		in.Close()
		if err != nil {
			return inputFailure(ctx, in.Failed(err))
		}
		plan.MaxSeconds = s.prepare.MaxDuration.Seconds()
		if err := s.printOne(streams.Out, plan, plan.Text()); err != nil {
			return err
		}
	}
	return nil
}

// messages says how the inputs are cut into messages.
func (s *settings) messages() (probe.Messages, error) {
	samples, err := s.chunkSamples()
	return probe.Messages{Conversation: s.conversationID(), Samples: samples, Rate: s.speechRate}, err
}
