// Package buildinfo describes the running program: release, commit and build.
package buildinfo

import (
	"fmt"
	"runtime"
	"runtime/debug"
)

// Text returns the program's name and release, the commit and its time, the linked
// libraries, and the toolchain, one per line.
func Text(name, version string) string {
	build, commit := "static, without libraries in C", "commit unknown"
	settings := map[string]string{}
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			settings[s.Key] = s.Value
		}
	}
	if revision := settings["vcs.revision"]; revision != "" {
		commit = "commit " + revision[:min(12, len(revision))] + " of " + settings["vcs.time"]
		if settings["vcs.modified"] == "true" {
			commit += ", modified"
		}
	}
	if settings["CGO_ENABLED"] == "1" {
		build = "with libsoxr, libmpg123 and libopus"
	}
	return fmt.Sprintf("%s %s\n%s\n%s\n%s, %s/%s", name, version, commit, build, runtime.Version(),
		runtime.GOOS, runtime.GOARCH)
}
