package cli_test

import (
	"bytes"
	"encoding/binary"
	"strings"
	"testing"
)

const longFile = "../testdata/speech.wav"

// An input that is longer than --max-duration is refused before anything is spoken if its
// header has the length; otherwise it is interrupted at the limit.
func TestMaxDuration(t *testing.T) {
	t.Parallel()
	raw := []string{"-f", "s16le", "--rate", "24000", "--channels", "1", "--max-duration", "1s", "-"}
	for _, c := range []struct {
		args  []string
		code  int
		out   string
		words string
	}{
		{[]string{"send", "--rehearse", "--json", "--max-duration", "1s", longFile}, 3, `"code":3`,
			longFile + ": the input is longer than 1s; --max-duration TIME allows more"},
		{append([]string{"send", "--rehearse", "--json"}, raw...), 3, `"outcome":"interrupted"`,
			"standard input: broke off at 1.000 s: the input is longer than 1s; --max-duration TIME allows more"},
		{append([]string{"encode"}, raw...), 3, `"event_type":"conversation.interrupt"`, "broke off at 1.000 s"},
		{[]string{"encode", "--max-duration", "8s", longFile}, 0, `"done":true`, ""},
		{[]string{"encode", "--max-duration", "-8s", longFile}, 2, "",
			"--max-duration -8s: must not be negative; 0 allows any length"},
	} {
		r := run(t, bytes.NewReader(make([]byte, 2*24000*3)), c.args...)
		if r.code != c.code || !strings.Contains(r.stdout, c.out) || !strings.Contains(r.stderr, c.words) {
			t.Errorf("%v: code %d, want %d:\n%s\n%s", c.args, r.code, c.code, r.stdout, r.stderr)
		}
	}
}

// If the conversation is created for the input, the length has a default limit, and the plan
// says so.
func TestCreatedConversationsLimitTheInput(t *testing.T) {
	account(t)
	const limit = "limit     an input of more than 1800 s is not spoken to its end"
	if r := call(t, "send", "--dry-run", "--pal", "p1234567890a", longFile); r.code != 0 ||
		!strings.Contains(r.stdout, limit) {
		t.Errorf("code %d:\n%s%s", r.code, r.stdout, r.stderr)
	}
	if r := call(t, "send", "--dry-run", "--json", "--pal", "p1234567890a", "--max-duration", "2h",
		longFile); !strings.Contains(r.stdout, `"max_seconds":7200,`) {
		t.Errorf("code %d:\n%s%s", r.code, r.stdout, r.stderr)
	}
	if r := call(t, "send", "--dry-run", "--rehearse", longFile); r.code != 0 || strings.Contains(r.stdout, "limit") {
		t.Errorf("code %d:\n%s%s", r.code, r.stdout, r.stderr)
	}
	hours, _ := wav(8000, 1, 8000)
	binary.LittleEndian.PutUint32(hours[40:], 2*8000*5*3600)
	r := run(t, bytes.NewReader(hours), "send", "--pal", "p1234567890a", "-")
	if r.code != 3 || !strings.Contains(r.stderr, "the input is longer than 30m0s") ||
		strings.Contains(r.stderr, "conversation c") {
		t.Errorf("code %d: %s", r.code, r.stderr)
	}
	if left := call(t, "conversation", "list").stdout; strings.Contains(left, "active") {
		t.Errorf("a conversation was created:\n%s", left)
	}
}
