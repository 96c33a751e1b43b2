//go:build !linux

package audio

// limitProcess does nothing: on this system one process cannot limit another.
func limitProcess(int, uint64) {}
