package cli

import (
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"echocast/replica"
)

// fault is something that the replica command can be asked to do wrong.
type fault struct {
	name  string
	value string // what follows the =, or empty where nothing may; in brackets where it need not
	usage string
	set   func(o *replica.Options, value string) error
}

// faults are all of them, in the order in which they are listed.
var faults = []fault{
	{"join-delay", "TIME", "join this much later; messages that arrive before are lost", duration(func(o *replica.Options) *time.Duration { return &o.JoinDelay })},
	{"mute", "", "send nothing at all, not even that the replica has joined", func(o *replica.Options, _ string) error { o.Faults.Mute = true; return nil }},
	{"drop-events", "KIND", "lose messages of a kind: " + kinds(), setDrop},
	{"drop-every", "N", "lose every n-th message", count(func(f *replica.Faults) *int { return &f.DropEvery })},
	{"lose", "SHARE", "lose a share of the messages, such as 0.3, at random", setLoss},
	{"duplicate", "", "send every message twice", func(o *replica.Options, _ string) error { o.Faults.Duplicate = true; return nil }},
	{"reorder", "[TIME]", "send each two events in the wrong order, or hold the first of them back so long", setReorder},
	{"delay", "TIME", "send every message so much later", duration(func(o *replica.Options) *time.Duration { return &o.Faults.Delay })},
	{"jitter", "TIME", "delay each message by a random time below this", duration(func(o *replica.Options) *time.Duration { return &o.Faults.Jitter })},
	{"ids", "FORM", "name utterances in another way: v3, v4, md5, raw (as the sender does) or own", setIDs},
	{"legacy", "", "send the older events beside the current ones", func(o *replica.Options, _ string) error { o.Legacy = true; return nil }},
	{"stall-after", "N", "stop reading after n chunks", count(func(f *replica.Faults) *int { return &f.StallAfter })},
	{"stall-for", "TIME", "read on after this time, with stall-after", duration(func(o *replica.Options) *time.Duration { return &o.Faults.StallFor })},
	{"die-after", "N", "after n chunks, end the process with code 137, without a goodbye", count(func(f *replica.Faults) *int { return &f.DieAfter })},
	{"leave-after", "N", "after n chunks, say that the room shuts down, and leave", count(func(f *replica.Faults) *int { return &f.LeaveAfter })},
	{"interrupt-after", "TIME", "once so much was played, be interrupted by somebody else", duration(func(o *replica.Options) *time.Duration { return &o.Faults.InterruptAfter })},
	{"user-at", "TIME", "once so much was played, let a user speak", duration(func(o *replica.Options) *time.Duration { return &o.Faults.UserAt })},
	{"user-for", "TIME", "for how long the user speaks", duration(func(o *replica.Options) *time.Duration { return &o.Faults.UserFor })},
	{"user-says", "TEXT", "what the user says, without a comma", func(o *replica.Options, text string) error { o.Faults.UserSays = text; return nil }},
	{"seed", "N", "choose differently what is left to chance", setSeed},
}

func kinds() string {
	names := make([]string, len(replica.SentKinds))
	for i, kind := range replica.SentKinds {
		names[i] = string(kind)
	}
	return strings.Join(names, ", ")
}

// listFaults writes a line for each.
func listFaults(out io.Writer) error {
	var b strings.Builder
	for _, f := range faults {
		fmt.Fprintf(&b, "%-24s %s\n", f.form(), f.usage)
	}
	if _, err := io.WriteString(out, b.String()); err != nil {
		return stdoutError{err}
	}
	return nil
}

// form is how a fault is written.
func (f fault) form() string {
	switch {
	case f.value == "":
		return f.name
	case f.value[0] == '[':
		return f.name + "[=" + f.value[1:]
	}
	return f.name + "=" + f.value
}

// setFaults does what the words NAME or NAME=VALUE say.
func setFaults(o *replica.Options, words []string) error {
	for _, word := range words {
		if err := setFault(o, word); err != nil {
			return err
		}
	}
	if err := o.Faults.Check(); err != nil {
		return usagef("--fault: %v", err)
	}
	return nil
}

func setFault(o *replica.Options, word string) error {
	name, value, hasValue := strings.Cut(word, "=")
	i := slices.IndexFunc(faults, func(f fault) bool { return f.name == name })
	if i < 0 {
		return usagef("no fault is called %q; --fault list lists them", name)
	}
	f := faults[i]
	switch isOptional := strings.HasPrefix(f.value, "["); {
	case f.value == "" && hasValue:
		return usagef("--fault %s: %s has no value", word, name)
	case f.value != "" && !isOptional && value == "", hasValue && value == "":
		return usagef("--fault %s: it is written %s", word, f.form())
	}
	if err := f.set(o, value); err != nil {
		return usagef("--fault %s: %v", word, err)
	}
	return nil
}

// duration makes a setter of a time that is more than nothing.
func duration(field func(o *replica.Options) *time.Duration) func(*replica.Options, string) error {
	return func(o *replica.Options, value string) error {
		d, err := time.ParseDuration(value)
		if err != nil || d <= 0 {
			return fmt.Errorf("%q is no time such as 300ms or 2s", value)
		}
		*field(o) = d
		return nil
	}
}

// count makes a setter of a number from 1.
func count(field func(f *replica.Faults) *int) func(*replica.Options, string) error {
	return func(o *replica.Options, value string) error {
		n, err := strconv.Atoi(value)
		if err != nil || n < 1 {
			return fmt.Errorf("%q is no number from 1", value)
		}
		*field(&o.Faults) = n
		return nil
	}
}

func setDrop(o *replica.Options, value string) error {
	kind := replica.Sent(value)
	if !slices.Contains(replica.SentKinds, kind) {
		return fmt.Errorf("no message is called %q; there are %s", value, kinds())
	}
	o.Faults.Drop = append(o.Faults.Drop, kind)
	return nil
}

func setLoss(o *replica.Options, value string) error {
	share, err := strconv.ParseFloat(value, 64)
	if err != nil || !(share > 0 && share <= 1) {
		return fmt.Errorf("%q is no share such as 0.3, of 1", value)
	}
	o.Faults.Loss = share
	return nil
}

func setReorder(o *replica.Options, value string) error {
	if value == "" {
		o.Faults.Swap = true
		return nil
	}
	return duration(func(o *replica.Options) *time.Duration { return &o.Faults.HoldBack })(o, value)
}

func setIDs(o *replica.Options, value string) error {
	forms := map[string]replica.IDForm{"v3": replica.IDVersion3, "v4": replica.IDVersion4, "md5": replica.IDMD5, "raw": replica.IDRaw, "own": replica.IDRandom}
	form, known := forms[value]
	if !known {
		return fmt.Errorf("no form is called %q; there are v3, v4, md5, raw and own", value)
	}
	o.IDs = form
	return nil
}

func setSeed(o *replica.Options, value string) error {
	seed, err := strconv.ParseUint(value, 10, 64)
	if err != nil {
		return fmt.Errorf("%q is no whole number", value)
	}
	o.Faults.Seed = seed
	return nil
}

// exitKilled is the code of a process that was killed, which dying looks like.
const exitKilled = 137

// readScript reads the events of a file.
func readScript(name string) (replica.Script, error) {
	if name == "" {
		return nil, nil
	}
	file, err := os.Open(name)
	if err != nil {
		return nil, &inputError{"--script " + name, plain(err)}
	}
	defer file.Close()
	script, err := replica.ParseScript(file)
	if err != nil {
		return nil, &inputError{"--script " + name, err}
	}
	return script, nil
}
