package cli

import (
	"os"
	"testing"

	"echocast/internal/testenv"
	"echocast/internal/testwait"
)

// asProgram is the environment variable that makes this test binary the program.
const asProgram = "ECHOCAST_TEST_PROGRAM"

// No test leaves a goroutine behind, or writes to the user's journal of conversations.
func TestMain(m *testing.M) {
	testenv.Isolate()
	if os.Getenv(asProgram) != "" {
		os.Exit(Main(nil))
	}
	state, err := os.MkdirTemp("", "")
	if err != nil {
		panic(err)
	}
	os.Setenv("ECHOCAST_STATE_DIR", state)
	os.Setenv("ECHOCAST_LOST_AFTER", "1m") // a busy machine stands still for longer than the usual 3 s
	testwait.RunAndFindLeaks(m, func() { _ = os.RemoveAll(state) })
}
