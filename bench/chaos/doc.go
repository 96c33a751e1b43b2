// Command chaos kills, stops and disconnects the nodes of an echocast cluster while they
// speak, and checks what the replicas heard.
//
// It starts three gateways (echocast-server serve --nats) and three NATS servers, each as a
// separate process. With --embedded it starts one gateway that keeps its conversations in
// files. The replicas, the clients and a stand-in for Tavus run in the process of this
// command:
//
//	clients ──HTTP──► gateways ──data channels──► replicas
//	                     └──proxies──► NATS
//
// Each client has one conversation. It speaks one utterance after the other, sends each
// request to any gateway, and reads the events. At random moments a random process is
// killed, or stopped for longer than a lease and then continued, or disconnected from NATS
// by its proxies.
//
// The samples encode their utterance and position. So the samples that a replica played
// show what was heard, repeated and left out. The run fails if
//
//   - an utterance that was acknowledged has no receipt, or its receipt does not name what
//     was left out, or names less than was said again,
//   - a message came from a node after one of the node that took the conversation over,
//   - the events of a conversation have a gap or come twice,
//   - a conversation that costs money was left open,
//   - a node denied a conversation or an utterance that there is,
//   - with --strict, a takeover in mid-utterance took longer than a lease and a second, while
//     no server of NATS was killed.
//
// All criteria but the last are counts, so a slow machine does not fail. The same seed
// injects the same faults at the same times. The command prints a table, and exits with 1
// if the run fails. In that case --dir contains a log of each conversation with a failure.
//
// With --other, the gateways alternate between two programs, such as two versions: at any
// time some run the one and some the other, and conversations move in both directions. With
// --rolls, all gateways are replaced one after the other in the end, as in an upgrade. A
// program of the next version is built with the tag nextversion (internal/nextversion).
package main
