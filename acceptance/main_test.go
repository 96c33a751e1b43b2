package acceptance

import (
	"flag"
	"os"
	"path/filepath"
	"testing"

	"echocast/cli"
	"echocast/internal/testenv"
	_ "echocast/room/livekit"
	"echocast/rtc/livekit/livekittest"
)

// If this variable is set, the test binary is echocast, which tests kill.
const runAsProgram = "ECHOCAST_TEST_RUN"

func TestMain(m *testing.M) {
	if os.Getenv(runAsProgram) != "" {
		os.Exit(cli.Main(nil))
	}
	if os.Getenv(runAsAvatar) != "" {
		os.Exit(avatarMain())
	}
	os.Exit(runAll(m))
}

// scratch is a folder for what is made once.
var scratch string

func runAll(m *testing.M) int {
	testenv.Isolate()
	folder, err := os.MkdirTemp("", "")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(folder)
	scratch = folder
	os.Setenv("ECHOCAST_LOST_AFTER", "1m") // a busy machine stands still for longer than the usual 3 s
	os.Setenv("LIVEKIT_API_KEY", livekittest.Key)
	os.Setenv("LIVEKIT_API_SECRET", livekittest.Secret)
	os.Setenv("TAVUS_API_KEY", canary)
	os.Setenv("ECHOCAST_STATE_DIR", filepath.Join(scratch, "state"))
	_ = flag.Set("test.parallel", "12") // the tests mostly wait
	defer livekittest.StopServers()
	return m.Run()
}
