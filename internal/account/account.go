// Package account has the commands for a Tavus account: conversation and pal. Other
// commands that call the service use its Options and Open.
package account

import (
	"context"
	"errors"
	"os"
	"time"

	"github.com/urfave/cli/v2"

	"echocast/internal/option"
	"echocast/internal/output"
	"echocast/internal/shutdown"
	"echocast/internal/text"
	"echocast/tavus"
)

// Options say how to call the Tavus API.
type Options struct {
	keyFile string
	baseURL string
}

// HelpKey says from where the API key is read.
const HelpKey = `The API key is read from TAVUS_API_KEY, or from the file that --api-key-file
names. It is not an option itself, because other users can see those.`

// Client returns a client. The client warns of retries. Client warns if other users can
// read the key file.
func (o *Options) Client(warn output.WarnFunc) (*tavus.Client, error) {
	key, err := o.key(warn)
	if err != nil {
		return nil, err
	}
	client := &tavus.Client{Key: key, BaseURL: o.baseURL, OnWait: func(why error, wait time.Duration) {
		warn("%v; trying again in %v", why, wait.Round(100*time.Millisecond))
	}}
	if err := client.Check(); err != nil {
		return nil, option.Errorf("--base-url: %v", err)
	}
	return client, nil
}

func (o *Options) key(warn output.WarnFunc) (tavus.Key, error) {
	where := "--api-key-file " + o.keyFile
	if !o.HasKey() {
		return tavus.Key{}, option.Errorf("there is no API key: set TAVUS_API_KEY, or name a file with --api-key-file")
	}
	if o.keyFile == "" {
		where = "TAVUS_API_KEY"
	}
	text, err := option.Secret("--api-key-file", o.keyFile, "TAVUS_API_KEY", warn)
	if err != nil {
		return tavus.Key{}, err
	}
	key, err := tavus.NewKey(text)
	if err != nil {
		return key, option.Errorf("%s: %v", where, err)
	}
	return key, nil
}

// HasKey reports whether an API key is given, even if it is invalid.
func (o *Options) HasKey() bool {
	_, ok := os.LookupEnv("TAVUS_API_KEY")
	return ok || o.keyFile != ""
}

// Flags returns the flags of commands that call the API.
func (o *Options) Flags() []cli.Flag {
	return []cli.Flag{
		option.New(&o.keyFile, "api-key-file", "", "read the API key from `FILE` (default: TAVUS_API_KEY)"),
		option.New(&o.baseURL, "base-url", "", "`URL` of the service (default: "+tavus.DefaultBaseURL+") [$TAVUS_BASE_URL]"),
	}
}

// accountCmd has the fields that all commands of this package share.
type accountCmd struct {
	streams output.Streams
	service Options
	json    bool
}

func (a *accountCmd) flags() []cli.Flag {
	return append(a.service.Flags(), option.Bool(&a.json, "json", "print JSON, one object a line"))
}

// command returns the action of a command that needs a client.
func (a *accountCmd) command(do func(*cli.Context, *tavus.Client) error) cli.ActionFunc {
	return func(c *cli.Context) error {
		client, err := a.service.Client(a.streams.Warn)
		if err != nil {
			return err
		}
		if err := do(c, client); err != nil {
			return shutdown.Cause(c.Context, err)
		}
		return nil
	}
}

// print prints values as lines of JSON, or rows as a table with the heading head.
func (a *accountCmd) print(values []any, head string, rows [][]string) error {
	if a.json {
		return output.JSONLines(a.streams.Out, values)
	}
	return output.Table(a.streams.Out, head, rows)
}

// Open creates a conversation. It warns of conversations that earlier processes left open.
// If the process ends at once meanwhile, Open reports what may be open.
func Open(ctx context.Context, client *tavus.Client, spec tavus.Spec,
	warn output.WarnFunc) (*tavus.Conversation, error) {
	WarnOfLeft(warn)
	defer shutdown.AtExit(func() {
		warn("a conversation may have been created; end it with: echocast conversation end-mine")
	})()
	conversation, err := tavus.Open(ctx, client, spec)
	if err != nil {
		return nil, Explain(ctx, err, warn)
	}
	return conversation, nil
}

// Explain says what to do if err means that a conversation may have been created, even if a
// signal ended the run. It returns err, which is then wrapped in an *output.PrintedError.
func Explain(ctx context.Context, err error, warn output.WarnFunc) error {
	if _, unsure := errors.AsType[*tavus.UncertainError](err); unsure {
		warn("%v", err)
		warn("end it with: echocast conversation end-mine")
		return &output.PrintedError{Err: shutdown.Cause(ctx, err)}
	}
	return err
}

// WarnOfLeft warns of conversations whose processes have ended without ending them.
func WarnOfLeft(warn output.WarnFunc) {
	if left := tavus.CountLeft(""); left > 0 { // doctor reports unreadable files
		warn("%s created by a process that has ended may be open, and cost money; end what was left with: "+
			"echocast conversation end-mine", text.Count(left, "conversation"))
	}
}
