package cputime

import (
	"testing"

	"echocast/internal/testwait"
)

func TestUsedGrows(t *testing.T) {
	before := Used()
	if before < 0 {
		t.Fatal(before)
	}
	for ctx := testwait.Context(t); Used() == before; { // until the next tick of the clock
		if ctx.Err() != nil {
			t.Fatal("the time stands still")
		}
	}
}
