package doctor

import "cmp"

// Use is a use of echocast, and whether it works on this machine.
type Use struct {
	Name  string `json:"name"`
	Ready bool   `json:"ready"`
	// Missing says what is missing. It is empty if the use is ready.
	Missing string `json:"missing,omitempty"`
	// Line is a command to type: for the use itself, or to fix what is missing.
	Line string `json:"line"`
}

// Verdict returns the uses of echocast, and whether this machine is ready for them
// according to the findings of Run.
func Verdict(o *Options, findings []Finding) []Use {
	found := map[string]Finding{}
	for _, f := range findings {
		found[f.Name] = f
	}
	uses := []Use{
		{Name: "a rehearsal with a stand-in replica", Ready: true, Line: "echocast send speech.wav"},
		needs(found, Use{Name: "a conversation with a PAL", Line: "echocast send --pal " +
			cmp.Or(o.PAL, "ID") + " speech.wav"},
			"state directory", "API key", "PAL", "face"),
	}
	if o.Address != "" {
		uses = append(uses, needs(found, Use{Name: "the room of --to", Line: "echocast send --to URL speech.wav"},
			"transport", "credentials", "daily-js", "room", "join", "replica"))
	}
	return uses
}

// required are the checks that must succeed for a use. If one of them was skipped, it
// counts as missing.
var required = map[string]bool{"API key": true, "PAL": true, "room": true}

// needs marks a use as ready if none of the named checks failed. Otherwise the first failed
// check says what is missing.
func needs(found map[string]Finding, use Use, names ...string) Use {
	for _, name := range names {
		f, made := found[name]
		if made && f.Status != Fail && (f.Status != Skip || !required[name]) {
			continue
		}
		if !made && !required[name] {
			continue
		}
		use.Missing = name
		if f.Detail != "" {
			use.Missing += ": " + f.Detail
		}
		use.Line = cmp.Or(f.Fix, "echocast doctor --help")
		return use
	}
	use.Ready = true
	return use
}
