package cli

import (
	"bytes"
	"strings"
	"testing"

	"echocast/internal/testwait"
	"echocast/replica"
)

func TestFaultList(t *testing.T) {
	var out, complaints bytes.Buffer
	code := Run(testwait.Context(t), []string{"echocast", "replica", "--fault", "list"},
		Streams{Out: &out, Err: &complaints})
	if lines := strings.Count(out.String(), "\n"); code != 0 || lines != len(replica.AllFaults()) || complaints.Len() > 0 {
		t.Errorf("code %d, %d lines of %d, %s", code, lines, len(replica.AllFaults()), complaints.String())
	}
	if !strings.Contains(out.String(), "\nreorder[=TIME] ") || !strings.Contains(out.String(), "\nstall-after=N ") {
		t.Errorf("the list is\n%s", out.String())
	}
}
