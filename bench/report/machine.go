package main

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
)

// programs are the compared programs, with the arguments that print their versions.
var programs = []struct {
	name    string
	command []string
}{
	{"libsoxr", []string{"pkg-config", "--modversion", "soxr"}},
	{"libmpg123", []string{"pkg-config", "--modversion", "libmpg123"}},
	{"ffmpeg", []string{"ffmpeg", "-version"}},
	{"sox", []string{"sox", "--version"}},
	{"lame", []string{"lame", "--version"}},
	{"python3", []string{"python3", "--version"}},
	{"base64", []string{"base64", "--version"}},
}

// machine describes the machine, the programs and the load average of a measurement.
func machine(load string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s, %d cores, %s/%s, %s; load average before: %s.\n", processor(), runtime.NumCPU(),
		runtime.GOOS, runtime.GOARCH, runtime.Version(), load)
	var versions []string
	for _, p := range programs {
		output, err := exec.Command(p.command[0], p.command[1:]...).Output()
		if err != nil {
			continue // it was not measured
		}
		versions = append(versions, p.name+" "+version(string(output)))
	}
	b.WriteString(strings.Join(versions, ", ") + ".\n")
	return b.String()
}

// version returns the first word of the first line that looks like a version.
func version(output string) string {
	line, _, _ := strings.Cut(output, "\n")
	for word := range strings.FieldsSeq(line) {
		if digits := strings.TrimPrefix(word, "v"); digits != "" && digits[0] >= '0' && digits[0] <= '9' &&
			strings.Contains(digits, ".") {
			return digits
		}
	}
	return "of unknown version"
}

func processor() string {
	info, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return "unknown processor"
	}
	for line := range strings.Lines(string(info)) {
		if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return "unknown processor"
}
