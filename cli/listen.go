package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"echocast/echo"
	"echocast/internal/option"
	"echocast/internal/outfile"
	"echocast/internal/output"
	"echocast/internal/shutdown"
	"echocast/listen"
	"echocast/room"
	"echocast/webhook"
)

// listenCmd is the listen command.
type listenCmd struct {
	streams     Streams
	target      targetOptions
	settings    settings // conversation, quiet
	raw         bool
	window      time.Duration
	only        string
	count       int
	exec        string
	execTimeout time.Duration
	execJobs    int
	execErrors  bool
	transcript  string
	webhook     string
}

func listenCommand(streams Streams) *cli.Command {
	l := &listenCmd{streams: streams}
	return &cli.Command{
		Name:  "listen",
		Usage: "print the events of a room, or the callbacks of a conversation, one JSON object a line",
		UsageText: `echocast listen --to URL [OPTIONS]

   echocast listen --to URL --only utterance,tool_call | jq -r .text
   echocast listen --to URL --only tool_call --exec ./answer.sh
   echocast listen --to URL --transcript call.srt
   echocast listen --webhook 127.0.0.1:8871/callbacks`,
		Description: `Each event is printed once, in the order in which the service sent them; --raw prints
every message as it was received. Lost events are reported on stderr.

--exec runs a command for each event, with the event on its standard input. The
JSON objects that it prints are sent to the replica, so that a shell script can
answer a tool call:
  id=$(jq -r .tool_call.id); echo "{\"message_type\":\"conversation\",
  \"event_type\":\"conversation.tool_result\",\"properties\":{\"tool_call_id\":\"$id\",
  \"output\":\"sunny\"}}"

--webhook receives the callbacks of a conversation (its callback_url) by HTTP. They
are not signed: anybody who knows the address can invent events. So echocast refuses
requests from web pages, and requests for host names other than this machine's or that
of --webhook-url. If the address has no path, it gets a random one, which is printed.

It ends with the room or with Ctrl-C; neither is an error. It reconnects after a lost
connection.`,
		Flags: append([]cli.Flag{
			option.Bool(&l.raw, "raw", "print every message as it was received: not sorted, not converted, with repeats"),
			option.New(&l.only, "only", "", "`KINDS` of events, separated by commas: "+kindWords()+" (default: all)"),
			option.New(&l.count, "count, n", 0, "end after `N` events (default: all)"),
			option.New(&l.window, "window", 250*time.Millisecond, "wait this `TIME` for earlier events that are "+
				"missing"),
			option.New(&l.exec, "exec", "", "run this `COMMAND` for each event, and send what it prints (default: none)"),
			option.New(&l.execTimeout, "exec-timeout", 30*time.Second, "kill that command after this `TIME`"),
			option.New(&l.execJobs, "exec-jobs", 1, "run that command for up to `N` events at the same time; with more than 1 "+
				"the order is not kept"),
			option.Bool(&l.execErrors, "exec-errors", "if the command of a tool call fails, or takes too long, answer with a "+
				"result of status error"),
			option.New(&l.transcript, "transcript", "", "write who said what and when to `FILE`: .txt, .srt, .vtt or .json "+
				"(default: none)"),
			option.New(&l.webhook, "webhook", "", "receive callbacks on this `ADDRESS`[/PATH] instead of joining a room: "+
				"[HOST]:PORT, which is 127.0.0.1 without a host, and every address of the machine with 0.0.0.0 (default: none)"),
			webhookURLFlag(&l.target.via.webhookURL),
			conversationFlag(&l.settings.conversation),
			option.Quiet(&l.settings.quiet),
		}, l.target.flags()...),
		Action: option.WithoutInputs(l.run),
	}
}

func kindWords() string {
	kinds := echo.Kinds()
	words := make([]string, len(kinds))
	for i, kind := range kinds {
		words[i] = kind.String()
	}
	return strings.Join(words, ", ")
}

func (l *listenCmd) check() error {
	l.target.via.needsRoom = "listen"
	switch {
	case l.webhook == "" && !l.target.isSet():
		return usagef("listen needs a room, named with --to URL, or callbacks, received with --webhook ADDRESS")
	case l.webhook != "" && l.target.isSet():
		return usagef("--webhook receives callbacks, and --to and --pal name a room; run one listen for each")
	case l.webhook != "" && l.target.trace != "":
		return usagef("--trace records a room, and --webhook has none")
	case l.window < 0 || l.window > time.Minute:
		return usagef("--window must be from 0 to 1m")
	case l.count < 0:
		return usagef("--count must not be negative")
	case l.execTimeout <= 0:
		return usagef("--exec-timeout must be more than 0")
	case l.execJobs < 1 || l.execJobs > 1000:
		return usagef("--exec-jobs must be from 1 to 1000")
	}
	files := map[string]string{"--transcript": l.transcript, "--trace": l.target.trace}
	return cmp.Or(l.target.check(l.streams.Warn), outfile.CheckAll(files, nil))
}

// kinds returns the kinds that --only names; nil means all.
func (l *listenCmd) kinds() (map[echo.Kind]bool, error) {
	if l.only == "" {
		return nil, nil
	}
	kinds := map[echo.Kind]bool{}
	for word := range strings.SplitSeq(l.only, ",") {
		kind, err := echo.ParseKind(strings.TrimSpace(word))
		if err != nil {
			return nil, usagef("--only %s: %v", l.only, err)
		}
		kinds[kind] = true
	}
	return kinds, nil
}

func (l *listenCmd) run(ctx context.Context) error {
	if err := l.check(); err != nil {
		return err
	}
	kinds, err := l.kinds()
	if err != nil {
		return err
	}
	transcript, err := l.newTranscript()
	if err != nil {
		return err
	}
	out := l.settings.newReporter(l.streams)
	source, err := l.open(ctx, out)
	if err != nil {
		return cmp.Or(ended(err), transcript.Close())
	}
	var exec *listen.Executor
	if l.exec != "" {
		exec = listen.NewExecutor(listen.ExecOptions{
			Line: l.exec, Timeout: l.execTimeout, Jobs: l.execJobs, SendErrors: l.execErrors, Linger: shutdown.Timeout / 2,
			Send: source.Send, Say: out.say, Warn: out.warn, Stderr: out.people,
		})
	}
	err = listen.Run(ctx, source, &listen.Options{
		Out: output.Writer(l.streams.Out), Raw: l.raw, Kinds: kinds, Count: l.count, Window: l.window, Say: out.say,
		Transcript: transcript, Exec: exec, PerConversation: l.webhook != "",
	})
	exec.Close()
	return cmp.Or(ended(err), source.Close(), transcript.Close())
}

func (l *listenCmd) newTranscript() (*listen.Transcript, error) {
	if l.transcript == "" {
		return nil, nil
	}
	transcript, err := listen.NewTranscript(l.transcript)
	if _, ok := errors.AsType[*listen.FormatError](err); ok {
		return nil, usagef("--transcript %v", err)
	}
	if err != nil {
		return nil, fmt.Errorf("--transcript %w", err)
	}
	return transcript, nil
}

// ended returns nil for expected endings: a signal, or a room that has ended.
func ended(err error) error {
	if _, ok := errors.AsType[shutdown.SignalError](err); ok || hasEnded(err) {
		return nil
	}
	return err
}

// open joins the room, or starts to receive callbacks.
func (l *listenCmd) open(ctx context.Context, out *reporter) (listen.Source, error) {
	if l.webhook != "" {
		options := &webhook.Options{PublicURL: l.target.via.webhookURL, Linger: shutdown.Timeout / 2}
		hook, err := listen.NewWebhook(l.webhook, options, out.say)
		if err != nil {
			return nil, listenError("--webhook", l.webhook, err)
		}
		return hook, nil
	}
	target, err := l.target.connect(ctx, room.Options{Conversation: l.settings.conversation, UserEvents: true}, "", out)
	if err != nil {
		return nil, err
	}
	out.say("listening")
	events := listen.NewRoom(target.Room().Stage())
	events.Redial, events.Timeout, events.Leave = target.Redial, l.target.reconnectTimeout, target.close
	return events, nil
}
