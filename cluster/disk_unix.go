//go:build linux || darwin

package cluster

import "syscall"

// freeBytes returns how many bytes are free on the disk of a directory, or -1 if that is unknown.
func freeBytes(dir string) int64 {
	var disk syscall.Statfs_t
	if syscall.Statfs(dir, &disk) != nil {
		return -1
	}
	return int64(disk.Bavail) * int64(disk.Bsize) //nolint:gosec // a disk has fewer than 2^63 bytes
}
