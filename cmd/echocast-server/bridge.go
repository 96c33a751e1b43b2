package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"slices"

	"echocast/agent"
	"echocast/carrier"
	"echocast/carrier/twilio"
	"echocast/carrier/vonage"
	"echocast/cli"
	"echocast/echo"
	"echocast/room"
)

// bridge connects a bot, as a telephone carrier would, or an agent to a conversation.
func bridge(ctx context.Context, b cli.Bridge) error {
	if slices.Contains(agent.Kinds(), b.With) {
		return runAgent(ctx, b)
	}
	options := carrier.Options{
		Speaker: b.Session, SpeakerRate: b.SpeechRate, Hear: b.Hear,
		Warn: func(text string) { b.Warn("the bot sent %s", text) },
	}
	protocol, err := protocolOf(b, &options)
	if err != nil {
		return err
	}
	err = carrier.Run(ctx, b.URL, protocol, options)
	if failed, ok := errors.AsType[*carrier.DialError](err); ok {
		return dialError(failed.Status, err)
	}
	if errors.Is(err, carrier.ErrBroken) {
		return lostError{err}
	}
	return err
}

func protocolOf(b cli.Bridge, o *carrier.Options) (carrier.Protocol, error) {
	if b.With == "vonage" {
		return vonage.New(b.Rate, b.Parameters)
	}
	if token := os.Getenv("TWILIO_AUTH_TOKEN"); token != "" {
		o.Header = http.Header{twilio.SignatureHeader: {twilio.Sign(token, b.URL)}}
	}
	return twilio.New(b.Parameters), nil
}

// keys maps the kinds of agents to the environment variables with their keys.
var keys = map[string]string{agent.OpenAI: "OPENAI_API_KEY", agent.ElevenLabs: "ELEVENLABS_API_KEY"}

func runAgent(ctx context.Context, b cli.Bridge) error {
	err := agent.Run(ctx, agent.Options{
		Kind: b.With, Name: b.Name, URL: b.URL, Key: os.Getenv(keys[b.With]), Instructions: b.Instructions,
		Speaker: b.Session, SpeakerRate: b.SpeechRate, Hear: b.Hear,
		Say:  func(who, text string) { b.Say("%s: %s", who, text) },
		Warn: func(text string) { b.Warn("%s", text) },
	})
	if errors.Is(err, agent.ErrBroken) {
		return lostError{err}
	}
	failed, ok := errors.AsType[*agent.DialError](err)
	if !ok {
		return err
	}
	if failed.IsUnauthorized() {
		err = fmt.Errorf("%w; check %s", err, keys[b.With])
	}
	return dialError(failed.Status, err)
}

// dialError tells a service that refused us from one that gave no answer, which is status 0.
func dialError(status int, err error) error {
	if status != 0 {
		return &room.RefusedError{Err: err}
	}
	return &room.UnreachableError{Err: err}
}

// lostError is an echo.ErrLost that names the connection.
type lostError struct{ error }

func (lostError) Is(target error) bool { return target == echo.ErrLost }
