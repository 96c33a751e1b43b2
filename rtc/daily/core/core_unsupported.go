//go:build !((linux || darwin) && (amd64 || arm64) && (cgo || daily_core))

package core

import "echocast/rtc/daily"

// Load fails with ErrUnsupported.
func Load(string) (daily.Library, error) { return nil, ErrUnsupported }

// Supported reports whether this program can open shared libraries.
const Supported = false
