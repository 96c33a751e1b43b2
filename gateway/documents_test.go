package gateway

import (
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"echocast/echo"
)

var update = flag.Bool("update", false, "rewrite the schemas of the documents")

// schemas are the types of the API by the names that the documents have for them.
var schemas = []struct {
	name  string
	value any
	async bool // in asyncapi.yaml too
}{
	{"NewConversation", Spec{}, false}, {"Bot", Bot{}, false}, {"BotInfo", BotInfo{}, true},
	{"BotMark", BotMark{}, true}, {"Listening", Listening{}, true}, {"Lost", Lost{}, true},
	{"UserSaid", UserSaid{}, false},
	{"Conversation", Info{}, true}, {"Overview", Overview{}, false},
	{"Say", SayRequest{}, false}, {"Spoken", SpokenPart{}, true}, {"Interrupted", Interrupted{}, true},
	{"Connected", Connected{}, true}, {"Received", Received{}, true},
	{"Utterance", UtteranceInfo{}, true}, {"Mark", Mark{}, true}, {"Problem", Problem{}, true},
	{"Receipt", echo.Receipt{}, true}, {"InputStats", echo.FeedStats{}, true}, {"HeardWords", echo.HeardWords{}, true},
	{"Order", Order{}, true}, {"Entry", Entry{}, true}, {"Takeover", Takeover{}, true},
}

// enums are the values of types that have few.
var enums = map[reflect.Type][]string{
	reflect.TypeFor[State]():                {"starting", "open", "draining", "ending", "ended"},
	reflect.TypeFor[Phase]():                {"waiting", "speaking", "over"},
	reflect.TypeFor[BotState]():             {"connected", "hung_up", "lost", "stopped"},
	reflect.TypeFor[OrderType]():            orderNames(),
	reflect.TypeFor[echo.Outcome]():         {"finished", "interrupted", "sent", "unverified", "failed"},
	reflect.TypeFor[echo.QueuePolicy]():     {"queue", "replace", "reject"},
	reflect.TypeFor[echo.ReconnectPolicy](): {"abandon", "restart", "resume"},
}

func orderNames() (names []string) {
	for _, one := range OrderTypes {
		names = append(names, string(one))
	}
	return names
}

// typeOf returns the schema of a Go type, on one line of YAML.
func typeOf(t reflect.Type) string {
	for _, s := range schemas {
		if t == reflect.TypeOf(s.value) {
			return `{$ref: "#/components/schemas/` + s.name + `"}`
		}
	}
	switch {
	case t == reflect.TypeFor[time.Time]():
		return "{type: string, format: date-time}"
	case t == reflect.TypeFor[json.RawMessage]():
		return "{}"
	case enums[t] != nil:
		return "{type: string, enum: [" + strings.Join(enums[t], ", ") + "]}"
	}
	switch t.Kind() {
	case reflect.Pointer:
		return typeOf(t.Elem())
	case reflect.Map:
		return "{type: object, additionalProperties: " + typeOf(t.Elem()) + "}"
	case reflect.Slice:
		return "{type: array, items: " + typeOf(t.Elem()) + "}"
	case reflect.String:
		return "{type: string}"
	case reflect.Bool:
		return "{type: boolean}"
	case reflect.Float64:
		return "{type: number}"
	case reflect.Int, reflect.Int64:
		return "{type: integer}"
	}
	return "no schema for " + t.String()
}

// fieldsOf returns the JSON fields of a struct, including those of embedded structs.
func fieldsOf(t reflect.Type) (names, types, required []string) {
	for i := range t.NumField() {
		f := t.Field(i)
		if f.Anonymous {
			n, ty, r := fieldsOf(f.Type)
			names, types, required = append(names, n...), append(types, ty...), append(required, r...)
			continue
		}
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		names, types = append(names, name), append(types, typeOf(f.Type))
		if options == "" {
			required = append(required, name)
		}
	}
	return names, types, required
}

// schemasText returns the section of the schemas.
func schemasText(async bool) string {
	var b strings.Builder
	for _, s := range schemas {
		if async && !s.async {
			continue
		}
		names, types, required := fieldsOf(reflect.TypeOf(s.value))
		fmt.Fprintf(&b, "    %s:\n      type: object\n", s.name)
		if len(required) > 0 {
			fmt.Fprintf(&b, "      required: [%s]\n", strings.Join(required, ", "))
		}
		b.WriteString("      properties:\n")
		for i, name := range names {
			fmt.Fprintf(&b, "        %s: %s\n", name, types[i])
		}
	}
	return b.String()
}

const schemasMark = "    # written by go test ./gateway -run TestDocuments -update\n"

// The schemas in the documents match the types.
func TestDocuments(t *testing.T) {
	for name, async := range map[string]bool{"openapi.yaml": false, "asyncapi.yaml": true} {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		before, after, _ := strings.Cut(string(text), schemasMark)
		want := schemasText(async)
		if *update {
			if err := os.WriteFile(name, []byte(before+schemasMark+want), 0o600); err != nil {
				t.Fatal(err)
			}
			after = want
		}
		if after != want || strings.Contains(want, "no schema") {
			t.Errorf("%s: the types have changed: go test ./gateway -run TestDocuments -update", name)
		}
		checkReferences(t, name, before+schemasMark+after)
	}
}

// checkReferences fails for a $ref without a target.
func checkReferences(t *testing.T, name, text string) {
	t.Helper()
	var root any
	if err := yaml.Unmarshal([]byte(text), &root); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	var walk func(any)
	walk = func(node any) {
		switch node := node.(type) {
		case []any:
			for _, child := range node {
				walk(child)
			}
		case map[string]any:
			for key, child := range node {
				if at, ok := child.(string); ok && key == "$ref" && !leads(root, at) {
					t.Errorf("%s: %s leads nowhere", name, at)
				}
				walk(child)
			}
		}
	}
	walk(root)
}

func leads(root any, at string) bool {
	for step := range strings.SplitSeq(strings.TrimPrefix(at, "#/"), "/") {
		node, ok := root.(map[string]any)
		if root = node[step]; !ok || root == nil {
			return false
		}
	}
	return true
}

// operation is the description of one method at one path.
type operation struct {
	ID         string           `yaml:"operationId"`
	Scope      string           `yaml:"x-scope"`
	Summary    string           `yaml:"summary"`
	Parameters []map[string]any `yaml:"parameters"`
	Responses  map[string]any   `yaml:"responses"`
}

// Every route is documented with its scope, and every documented operation is a route.
func TestRoutesAreDocumented(t *testing.T) {
	var document struct {
		Paths map[string]map[string]yaml.Node `yaml:"paths"`
	}
	if err := yaml.Unmarshal(openAPIDocument, &document); err != nil {
		t.Fatal(err)
	}
	said, ids := map[string]string{}, map[string]bool{}
	for path, methods := range document.Paths {
		for method, node := range methods {
			if method == "parameters" {
				continue
			}
			var o operation
			if err := node.Decode(&o); err != nil {
				t.Fatalf("%s %s: %v", method, path, err)
			}
			said[strings.ToUpper(method)+" "+path] = o.Scope
			if o.ID == "" || ids[o.ID] || o.Summary == "" || len(o.Responses) == 0 {
				t.Errorf("%s %s: its operationId, summary or responses are missing, or not its own", method, path)
			}
			ids[o.ID] = true
			if want := documentedQueries[o.ID]; want != nil {
				checkParameters(t, o.ID, o.Parameters, want)
			}
		}
	}
	a := &api{gateway: New(nil)}
	for _, r := range a.routes() {
		if r.method == "" {
			continue // OpenAI's own protocols
		}
		scope, ok := said[r.method+" "+r.path]
		if !ok || scope != string(r.needs) {
			t.Errorf("%s %s needs %q, and the document says %q (%t)", r.method, r.path, r.needs, scope, ok)
		}
		delete(said, r.method+" "+r.path)
	}
	for operation := range said {
		t.Errorf("%s is in the document alone", operation)
	}
}

// documentedQueries are the parameters that operations take in the query, by operationId.
var documentedQueries = map[string][]string{"speak": speechParameters, "listen": listenParameters}

// checkParameters compares the parameters of an operation in the query with the real ones.
func checkParameters(t *testing.T, id string, parameters []map[string]any, want []string) {
	t.Helper()
	var names []string
	for _, p := range parameters {
		if p["in"] == "query" {
			names = append(names, p["name"].(string))
		}
	}
	if !slices.Equal(names, want) {
		t.Errorf("the document has the parameters %v of %s, and there are %v", names, id, want)
	}
}

// The query that the AsyncAPI document gives the WebSocket is the one that it takes.
func TestAsyncAPIQuery(t *testing.T) {
	var document struct {
		Channels struct {
			Socket struct {
				Address  string
				Bindings struct {
					WS struct {
						Query struct{ Properties map[string]any }
					}
				}
			}
		}
	}
	if err := yaml.Unmarshal(asyncAPIDocument, &document); err != nil {
		t.Fatal(err)
	}
	socket := document.Channels.Socket
	names := slices.Sorted(maps.Keys(socket.Bindings.WS.Query.Properties))
	want := slices.Sorted(slices.Values(append([]string{"after"}, speechParameters...)))
	if !slices.Equal(names, want) || socket.Address != "/v1/conversations/{id}/socket" {
		t.Errorf("%s has the parameters %v, and there are %v", socket.Address, names, want)
	}
}

func TestDocumentsAreServed(t *testing.T) {
	handler := New(nil).Handler()
	for path, begin := range map[string]string{"/openapi.yaml": "openapi: 3.1", "/asyncapi.yaml": "asyncapi: 3."} {
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), "GET", "http://127.0.0.1"+path, nil))
		if w.Code != http.StatusOK || !strings.HasPrefix(w.Body.String(), begin) {
			t.Errorf("%s: %d, %.40s", path, w.Code, w.Body)
		}
	}
}
