// Package testenv isolates tests from the user's settings, and finds the programs they need.
package testenv

import (
	"os"
	"os/exec"
	"strings"
	"testing"
)

// kept are the prefixes of variables that are settings of the tests.
var kept = []string{"ECHOCAST_REQUIRE_", "ECHOCAST_TEST_", "ECHOCAST_LONG", "ECHOCAST_HEAR_LONG",
	"ECHOCAST_SCREENSHOTS", "ECHOCAST_STATE_DIR"}

// Isolate removes environment variables with settings and keys, and uses an empty settings
// file. This affects this process and its children. TestMain calls it.
func Isolate() {
	for _, entry := range os.Environ() {
		name, _, _ := strings.Cut(entry, "=")
		if isSetting(name) {
			_ = os.Unsetenv(name) // the name is valid
		}
	}
	_ = os.Setenv("ECHOCAST_CONFIG", os.DevNull) // the name is valid
}

func isSetting(name string) bool {
	for _, prefix := range kept {
		if strings.HasPrefix(name, prefix) {
			return false
		}
	}
	return strings.HasPrefix(name, "ECHOCAST_") || strings.HasPrefix(name, "TAVUS_") || strings.HasPrefix(name, "LIVEKIT_")
}

// NeedPrograms skips the test if one of the programs is not installed. If the environment
// variable that require names is set, it fails the test instead.
func NeedPrograms(t testing.TB, require string, programs ...string) {
	t.Helper()
	for _, program := range programs {
		switch _, err := exec.LookPath(program); {
		case err == nil:
		case os.Getenv(require) != "":
			t.Fatalf("%s is missing", program)
		default:
			t.Skipf("%s is not installed", program)
		}
	}
}
