// Package examples has tests only: they run the clients that stand in its
// folders, in Chromium and in Python, in a Daily room with the stand-in replica.
package examples
