package cli_test

import (
	"testing"

	"go.uber.org/goleak"

	"echocast/internal/testenv"
)

// No test leaves a goroutine behind.
func TestMain(m *testing.M) {
	testenv.Isolate()
	goleak.VerifyTestMain(m)
}
