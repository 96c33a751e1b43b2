//go:build !linux

package rtc

// talkOverIPv6 is for Linux, where a process can have a separate network.
func talkOverIPv6() int { return 1 }
