package child

import (
	"slices"
	"testing"

	"echocast/internal/testwait"
)

func TestMain(m *testing.M) { testwait.RunAndFindLeaks(m) }

func TestEnvironments(t *testing.T) {
	for name, want := range map[string]struct{ inEnviron, inMinimal bool }{
		"TAVUS_API_KEY": {}, "ECHOCAST_ROOM_KEY": {}, "ECHOCAST_ICE_CREDENTIAL": {}, "ECHOCAST_ICE_USERNAME": {},
		"Livekit_Api_Secret": {}, "LIVEKIT_API_KEY": {}, "LIVEKIT_TOKEN": {},
		"OPENAI_API_KEY": {true, false}, "AWS_SESSION": {true, false}, "ECHOCAST_CONVERSATION": {true, false},
		"LC_ALL": {true, true}, "https_proxy": {true, true}, "XDG_RUNTIME_DIR": {true, true},
	} {
		t.Setenv(name, "x=KEY")
		if slices.Contains(Environ(), name+"=x=KEY") != want.inEnviron {
			t.Errorf("%s: Environ has it: %v", name, !want.inEnviron)
		}
		if slices.Contains(MinimalEnviron(), name+"=x=KEY") != want.inMinimal {
			t.Errorf("%s: MinimalEnviron has it: %v", name, !want.inMinimal)
		}
	}
	if !slices.Contains(Environ("A=b"), "A=b") || !slices.Contains(MinimalEnviron("A=b"), "A=b") {
		t.Error("an extra variable is missing")
	}
}
