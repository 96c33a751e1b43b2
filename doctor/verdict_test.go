package doctor_test

import (
	"strings"
	"testing"

	"echocast/doctor"
)

func TestVerdict(t *testing.T) {
	all := func(status doctor.Status, names ...string) (findings []doctor.Finding) {
		for _, name := range names {
			findings = append(findings, doctor.Finding{Name: name, Status: status, Detail: "found " + name, Fix: "mend " + name})
		}
		return findings
	}
	good := all(doctor.OK, "state directory", "API key", "PAL", "face", "transport", "credentials", "daily-js",
		"room", "join", "replica")
	for name, c := range map[string]struct {
		options  doctor.Options
		findings []doctor.Finding // they replace those of the same name
		use      string
		missing  string // empty: it is ready
		line     string
	}{
		"all is well": {doctor.Options{PAL: "p1", Address: "x"}, nil, "PAL", "", "--pal p1"},
		"a room":      {doctor.Options{Address: "x"}, nil, "the room", "", "--to URL"},
		"a rehearsal needs none": {doctor.Options{}, all(doctor.Fail, "API key", "PAL", "room"), "rehearsal",
			"", "echocast send speech.wav"},
		"no key": {doctor.Options{}, all(doctor.Skip, "API key", "PAL"), "PAL",
			"API key: found API key", "mend API key"},
		"no PAL":                {doctor.Options{}, all(doctor.Skip, "PAL"), "PAL", "PAL: found PAL", "mend PAL"},
		"a PAL with a warning":  {doctor.Options{PAL: "p1"}, all(doctor.Warn, "PAL"), "PAL", "", "--pal p1"},
		"no face but the PAL's": {doctor.Options{PAL: "p1"}, all(doctor.Skip, "face"), "PAL", "", "--pal p1"},
		"a face that is broken": {doctor.Options{PAL: "p1"}, all(doctor.Fail, "face"), "PAL",
			"face: found face", "mend face"},
		"LiveKit's key": {doctor.Options{Address: "x"}, all(doctor.Fail, "credentials", "room"),
			"the room", "credentials: found credentials", "mend credentials"},
		"a room that was not met": {doctor.Options{Address: "x"}, all(doctor.Skip, "join"), "the room", "", "--to URL"},
		"a room that is gone": {doctor.Options{Address: "x"}, all(doctor.Fail, "room"), "the room",
			"room: found room", "mend room"},
		"a script of another": {doctor.Options{Address: "x"}, all(doctor.Fail, "daily-js"), "the room",
			"daily-js", "mend daily-js"},
	} {
		t.Run(name, func(t *testing.T) {
			var uses []doctor.Use
			for _, use := range doctor.Verdict(&c.options, append(good[:len(good):len(good)], c.findings...)) {
				if strings.Contains(use.Name, c.use) {
					uses = append(uses, use)
				}
			}
			if len(uses) != 1 {
				t.Fatalf("%d uses: %+v", len(uses), uses)
			}
			got := uses[0]
			if got.Ready != (c.missing == "") || !strings.HasPrefix(got.Missing, c.missing) ||
				!strings.Contains(got.Line, c.line) {
				t.Errorf("%+v", got)
			}
		})
	}
	if uses := doctor.Verdict(&doctor.Options{}, nil); len(uses) != 2 || uses[1].Ready {
		t.Errorf("of no findings: %+v", uses)
	}
}
