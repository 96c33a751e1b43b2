package clients

import (
	"flag"
	"fmt"
	"os"
	"reflect"
	"strings"
	"testing"

	"echocast/echo"
	"echocast/gateway"
)

var update = flag.Bool("update", false, "write js/src/types.ts")

// exported are the types of the gateway that clients see, with what they are.
var exported = []struct {
	value any
	about string
}{
	{gateway.Spec{}, "The conversation to create."},
	{gateway.Bot{}, "A voice bot made for the telephone, which holds the conversation."},
	{gateway.Info{}, "The state of a conversation."},
	{gateway.BotInfo{}, "The state of a bot's call."},
	{gateway.Takeover{}, "A takeover: another node of the cluster continued the conversation."},
	{gateway.UtteranceInfo{}, "The state of an utterance."},
	{gateway.SpokenPart{}, "The receipt of an utterance, or of a part of one that was continued."},
	{gateway.Interrupted{}, "What an interrupt ended."},
	{gateway.Mark{}, "A place in an utterance, which was heard or dropped."},
	{gateway.Connected{}, "The first message on a WebSocket: the id of the event before the first one that follows."},
	{gateway.Received{}, "How many bytes of an utterance's audio have arrived and are stored."},
	{gateway.Listening{}, "The format of the binary messages after the command listen."},
	{gateway.Lost{}, "Audio that a listener has lost, because it was slow."},
	{gateway.Order{}, "A command of a client on a WebSocket."},
	{gateway.Problem{}, "An error, in the form of RFC 9457."},
	{echo.Receipt{}, "What was sent of an utterance, and what was heard."},
	{echo.HeardWords{}, "The words that were heard, and the rest."},
	{echo.FeedStats{}, "How fast the audio arrived."},
}

// words are the strings that a type of strings may be.
var words = map[reflect.Type][]string{
	reflect.TypeFor[gateway.State](): {
		string(gateway.Starting), string(gateway.Open), string(gateway.Draining), string(gateway.Ending),
		string(gateway.Ended),
	},
	reflect.TypeFor[gateway.OrderType](): orderNames(),
	reflect.TypeFor[gateway.Phase]():     {string(gateway.Waiting), string(gateway.Speaking), string(gateway.Over)},
	reflect.TypeFor[gateway.BotState](): {
		string(gateway.BotConnected), string(gateway.BotHungUp), string(gateway.BotLost), string(gateway.BotStopped),
	},
	reflect.TypeFor[echo.Outcome](): {
		string(echo.Finished), string(echo.Interrupted), string(echo.Sent), string(echo.Unverified), string(echo.Failed),
	},
	reflect.TypeFor[echo.QueuePolicy](): {string(echo.QueueWait), string(echo.QueueReplace), string(echo.QueueReject)},
	reflect.TypeFor[echo.ReconnectPolicy](): {
		string(echo.ReconnectAbandon), string(echo.ReconnectRestart), string(echo.ReconnectResume),
	},
}

func orderNames() (names []string) {
	for _, one := range gateway.OrderTypes {
		names = append(names, string(one))
	}
	return names
}

// TestTypeScriptTypesMatchGateway compares the types of the TypeScript client with the Go
// types of the gateway's JSON.
func TestTypeScriptTypesMatchGateway(t *testing.T) {
	const file = "js/src/types.ts"
	var out strings.Builder
	out.WriteString("// Written by: go test ./clients -run TestTypeScriptTypesMatchGateway -update\n")
	for _, e := range exported {
		in := reflect.TypeOf(e.value)
		fmt.Fprintf(&out, "\n/** %s */\nexport interface %s {\n", e.about, in.Name())
		writeFields(t, &out, in)
		out.WriteString("}\n")
	}
	if *update {
		if err := os.WriteFile(file, []byte(out.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	old, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if string(old) != out.String() {
		t.Errorf("%s is not what the Go types are: run go test ./clients -run %s -update", file, t.Name())
	}
}

func writeFields(t *testing.T, out *strings.Builder, in reflect.Type) {
	for field := range in.Fields() {
		if field.Anonymous {
			writeFields(t, out, field.Type)
			continue
		}
		name, options, _ := strings.Cut(field.Tag.Get("json"), ",")
		if name == "" || name == "-" {
			continue
		}
		mayMiss := ""
		if strings.Contains(options, "omitempty") || strings.Contains(options, "omitzero") {
			mayMiss = "?"
		}
		fmt.Fprintf(out, "  %s%s: %s;\n", name, mayMiss, typeScript(t, field.Type))
	}
}

// typeScript is the type in TypeScript of what a Go type is in JSON.
func typeScript(t *testing.T, in reflect.Type) string {
	switch {
	case words[in] != nil:
		return `"` + strings.Join(words[in], `" | "`) + `"`
	case in == reflect.TypeFor[[]byte]() || in.Name() == "RawMessage":
		return "unknown"
	case in.String() == "time.Time":
		return "string"
	}
	switch in.Kind() {
	case reflect.Pointer:
		return typeScript(t, in.Elem())
	case reflect.Map:
		return "{ [name: string]: " + typeScript(t, in.Elem()) + " }"
	case reflect.Slice:
		return typeScript(t, in.Elem()) + "[]"
	case reflect.String:
		return "string"
	case reflect.Bool:
		return "boolean"
	case reflect.Int, reflect.Int64, reflect.Float64:
		return "number"
	case reflect.Struct:
		for _, e := range exported {
			if reflect.TypeOf(e.value) == in {
				return in.Name()
			}
		}
	}
	t.Errorf("%v is not known to TypeScript", in)
	return "unknown"
}
