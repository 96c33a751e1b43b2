package replica

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Fault is a fault that a stand-in can simulate, with its name.
type Fault struct {
	Name  string
	Value string // the value after =, in brackets if optional; empty: no value
	Usage string
	set   func(o *Options, value string) error
}

// allFaults lists the faults in the order shown to users.
var allFaults = []Fault{
	{"join-delay", "TIME", "join this much later; messages that arrive earlier are lost",
		duration(func(o *Options) *time.Duration { return &o.JoinDelay })},
	{"mute", "", "send nothing at all, not even that the replica has joined",
		func(o *Options, _ string) error { o.Faults.Mute = true; return nil }},
	{"drop-events", "KIND", "lose messages of a kind: " + kinds(), setDrop},
	{"drop-every", "N", "lose every n-th message", count(func(f *Faults) *int { return &f.DropEvery })},
	{"lose", "SHARE", "lose a share of the messages, such as 0.3, at random", setLoss},
	{"duplicate", "", "send every message twice",
		func(o *Options, _ string) error { o.Faults.Duplicate = true; return nil }},
	{"reorder", "[TIME]", "swap each pair of events, or delay the first of each pair by TIME", setReorder},
	{"delay", "TIME", "send every message this much later",
		duration(func(o *Options) *time.Duration { return &o.Faults.Delay })},
	{"jitter", "TIME", "delay each message by a random time, at most this",
		duration(func(o *Options) *time.Duration { return &o.Faults.Jitter })},
	{"ids", "FORM", "name utterances by other ids: v3, v4, md5, raw (those of the sender) or own", setIDs},
	{"legacy", "", "send the older events beside the current ones",
		func(o *Options, _ string) error { o.Legacy = true; return nil }},
	{"stall-after", "N", "stop reading after n chunks", count(func(f *Faults) *int { return &f.StallAfter })},
	{"stall-for", "TIME", "with stall-after: read again after this time",
		duration(func(o *Options) *time.Duration { return &o.Faults.StallFor })},
	{"die-after", "N", "after n chunks, end the process with code 137, as if it were killed",
		count(func(f *Faults) *int { return &f.DieAfter })},
	{"leave-after", "N", "after n chunks, say that the room shuts down, and leave",
		count(func(f *Faults) *int { return &f.LeaveAfter })},
	{"interrupt-after", "TIME", "let somebody else interrupt after this much was played",
		duration(func(o *Options) *time.Duration { return &o.Faults.InterruptAfter })},
	{"user-at", "TIME", "let a user speak after this much was played",
		duration(func(o *Options) *time.Duration { return &o.Faults.UserAt })},
	{"user-for", "TIME", "with user-at: how long the user speaks",
		duration(func(o *Options) *time.Duration { return &o.Faults.UserFor })},
	{"user-says", "TEXT", "with user-at: what the user says, without a comma",
		func(o *Options, text string) error { o.Faults.UserSays = text; return nil }},
	{"seed", "N", "seed of the random numbers, for another random run", setSeed},
}

func kinds() string {
	names := make([]string, len(SentKinds))
	for i, kind := range SentKinds {
		names[i] = string(kind)
	}
	return strings.Join(names, ", ")
}

// AllFaults returns all faults that a stand-in can simulate.
func AllFaults() []Fault { return slices.Clone(allFaults) }

// Form returns the syntax of a fault, such as delay=TIME.
func (f Fault) Form() string {
	switch {
	case f.Value == "":
		return f.Name
	case f.Value[0] == '[':
		return f.Name + "[=" + f.Value[1:]
	}
	return f.Name + "=" + f.Value
}

// SetFaults sets the faults named by words of the form NAME or NAME=VALUE. The error
// names the word.
func (o *Options) SetFaults(words []string) error {
	for _, word := range words {
		if err := o.setFault(word); err != nil {
			return err
		}
	}
	return o.Faults.Check()
}

func (o *Options) setFault(word string) error {
	name, value, hasValue := strings.Cut(word, "=")
	i := slices.IndexFunc(allFaults, func(f Fault) bool { return f.Name == name })
	if i < 0 {
		return &UnknownFaultError{name}
	}
	f := allFaults[i]
	switch isOptional := strings.HasPrefix(f.Value, "["); {
	case f.Value == "" && hasValue:
		return fmt.Errorf("%s: %s has no value", word, name)
	case f.Value != "" && !isOptional && value == "", hasValue && value == "":
		return fmt.Errorf("%s: write %s", word, f.Form())
	}
	if err := f.set(o, value); err != nil {
		return fmt.Errorf("%s: %w", word, err)
	}
	return nil
}

// UnknownFaultError reports a name that is no fault.
type UnknownFaultError struct{ Name string }

// Error says what is wrong.
func (e *UnknownFaultError) Error() string { return fmt.Sprintf("no fault is called %q", e.Name) }

// duration returns a setter for a duration, which must be positive.
func duration(field func(o *Options) *time.Duration) func(*Options, string) error {
	return func(o *Options, value string) error {
		d, err := time.ParseDuration(value)
		if err != nil || d <= 0 {
			return fmt.Errorf("%q is no time such as 300ms or 2s", value)
		}
		*field(o) = d
		return nil
	}
}

// count returns a setter for a number, which must be at least 1.
func count(field func(f *Faults) *int) func(*Options, string) error {
	return func(o *Options, value string) error {
		n, err := strconv.Atoi(value)
		if err != nil || n < 1 {
			return fmt.Errorf("%q is no number from 1", value)
		}
		*field(&o.Faults) = n
		return nil
	}
}

func setDrop(o *Options, value string) error {
	kind := Sent(value)
	if !slices.Contains(SentKinds, kind) {
		return fmt.Errorf("no message is called %q; there are %s", value, kinds())
	}
	o.Faults.Drop = append(o.Faults.Drop, kind)
	return nil
}

func setLoss(o *Options, value string) error {
	share, err := strconv.ParseFloat(value, 64)
	if err != nil || !(share > 0 && share <= 1) {
		return fmt.Errorf("%q is no share such as 0.3, of 1", value)
	}
	o.Faults.Loss = share
	return nil
}

func setReorder(o *Options, value string) error {
	if value == "" {
		o.Faults.Swap = true
		return nil
	}
	return duration(func(o *Options) *time.Duration { return &o.Faults.HoldBack })(o, value)
}

func setIDs(o *Options, value string) error {
	forms := map[string]IDForm{"v3": IDVersion3, "v4": IDVersion4, "md5": IDMD5, "raw": IDRaw, "own": IDRandom}
	form, known := forms[value]
	if !known {
		return fmt.Errorf("no form is called %q; there are v3, v4, md5, raw and own", value)
	}
	o.IDs = form
	return nil
}

func setSeed(o *Options, value string) error {
	seed, err := strconv.ParseUint(value, 10, 64)
	if err != nil {
		return fmt.Errorf("%q is no whole number", value)
	}
	o.Faults.Seed = seed
	return nil
}
