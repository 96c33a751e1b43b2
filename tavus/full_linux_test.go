package tavus_test

import (
	"os"
	"syscall"
	"testing"

	"echocast/tavus"
	"echocast/tavus/tavustest"
)

// Where nothing can be written, as on a full disk, no conversation is asked for, and the journal
// keeps neither a file nor a lock: a gateway tries again and again.
func TestJournalOnAFullDisk(t *testing.T) {
	server := &tavustest.Server{Key: "a-key"}
	defer server.Close()
	key, err := tavus.NewKey("a-key")
	if err != nil {
		t.Fatal(err)
	}
	client := &tavus.Client{Key: key, BaseURL: "http://127.0.0.1", HTTP: server.Client()}
	dir := t.TempDir()
	var before syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &before); err != nil {
		t.Skip(err)
	}
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: 0, Max: before.Max}); err != nil {
		t.Skip(err)
	}
	_, err = tavus.Open(t.Context(), client, tavus.Spec{PAL: "p1", StateDir: dir})
	if restored := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &before); restored != nil {
		t.Fatal(restored)
	}
	if err == nil {
		t.Error("a conversation was created without an entry in the journal")
	}
	left, err := os.ReadDir(dir)
	if err != nil || len(left) > 0 {
		t.Errorf("the journal has %v, %v", left, err)
	}
}
