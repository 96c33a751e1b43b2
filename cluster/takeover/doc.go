// Package takeover is a model of how a conversation of a cluster outlives its nodes. It is made
// of tests only: they try all orders of what may happen to a conversation on three nodes.
package takeover
