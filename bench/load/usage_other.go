//go:build !linux

package load

// usage returns zero: the usage is not known on this system.
func usage() processUsage { return processUsage{} }
