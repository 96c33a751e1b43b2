package main

import (
	"context"
	"errors"
	"net/http"
	"os"

	"echocast/carrier"
	"echocast/carrier/twilio"
	"echocast/carrier/vonage"
	"echocast/cli"
	"echocast/room"
)

// bridge holds a conversation as a telephone carrier.
func bridge(ctx context.Context, b cli.Bridge) error {
	options := carrier.Options{
		Speaker: b.Session, SpeakerRate: b.SpeechRate, Hear: b.Hear,
		Warn: func(text string) { b.Warn("the bot sent %s", text) },
	}
	protocol, err := protocolOf(b, &options)
	if err != nil {
		return err
	}
	err = carrier.Run(ctx, b.URL, protocol, options)
	if unreachable, ok := errors.AsType[*carrier.DialError](err); ok {
		return &room.UnreachableError{Err: unreachable}
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
