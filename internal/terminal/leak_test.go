package terminal

import (
	"testing"

	"echocast/internal/testwait"
)

// No test leaves a goroutine behind.
func TestMain(m *testing.M) { testwait.RunAndFindLeaks(m) }
