package main

import (
	"bytes"
	"os"
	"testing"
)

// The notices list all linked libraries; make notices writes them.
func TestNoticesAreUpToDate(t *testing.T) {
	const root = "../../"
	parts, err := linked(root)
	if err != nil {
		t.Fatal(err)
	}
	written, err := os.ReadFile(root + noticesFile)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(written, notices(parts)) {
		t.Errorf("%s is not what is linked; run make notices", noticesFile)
	}
	readme, err := os.ReadFile(root + "README.md")
	if err != nil {
		t.Fatal(err)
	}
	if want, err := withList(readme, parts); err != nil || !bytes.Equal(readme, want) {
		t.Errorf("the licences in README.md are not those that are linked (%v); run make notices", err)
	}
}

func TestUnknownLicence(t *testing.T) {
	if got := classify("All rights reserved."); got != "" {
		t.Errorf("no licence is %q", got)
	}
}
