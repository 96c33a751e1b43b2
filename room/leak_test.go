package room_test

import (
	"testing"

	"echocast/internal/testwait"
)

func TestMain(m *testing.M) { testwait.RunAndFindLeaks(m) }
