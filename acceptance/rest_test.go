package acceptance

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"

	"echocast/internal/testenv"
	"echocast/internal/testwait"
	"echocast/replica"
	"echocast/tavus"
	"echocast/tavus/tavustest"
)

// openREST makes a conversation of a stand-in of the service, which posts its
// events to send itself.
func openREST(t *testing.T, options *replica.Options) *stage {
	service := &tavustest.Server{Key: canary, AppMessages: tavustest.AppMessages{Replica: options}}
	server := httptest.NewServer(service)
	keyFile := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(keyFile, []byte(canary), 0o600); err != nil {
		t.Fatal(err)
	}
	key, err := tavus.NewKey(canary)
	if err != nil {
		t.Fatal(err)
	}
	hook := testenv.FreeAddress(t) + "/callbacks" // send listens there
	client := &tavus.Client{Key: key, BaseURL: server.URL, HTTP: server.Client()}
	made, err := client.CreateConversation(testwait.Context(t), tavus.Spec{PAL: "p1", Callback: "http://" + hook})
	if err != nil {
		t.Fatal(err)
	}
	return &stage{[]string{"--conversation", made.ID, "--base-url", server.URL, "--api-key-file", keyFile,
		"--webhook", hook}, func() replica.Report {
		report := service.Close()[made.ID]
		server.Close()
		http.DefaultClient.CloseIdleConnections()
		for _, complaint := range service.Complaints() {
			t.Errorf("the service complains: %s", complaint)
		}
		return report
	}}
}
