// Package examples only has tests. They run the clients in its folders, in Chromium and in
// Python, in a Daily room with a stand-in replica.
package examples
