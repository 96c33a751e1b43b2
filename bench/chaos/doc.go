// Command chaos kills, stops and cuts off the nodes of a cluster of echocast while they
// speak, and judges by what the replicas heard.
//
// It starts three gateways (echocast-server serve --nats) and three servers of NATS, or
// with --embedded one gateway that keeps its conversations in files, each a process of
// its own. Its own process has the replicas, the clients and a stand-in for Tavus:
//
//	clients ──HTTP──► gateways ──data channels──► replicas
//	                     └──proxies──► NATS
//
// Each client speaks one utterance after the other in a conversation of its own, asks any
// gateway, and follows the events. At random moments a random process is killed, or
// stopped for longer than a lease and continued, or cut off from NATS by its proxy.
//
// The samples say where in which utterance they belong. So what a replica played says
// what was heard, repeated and left out. The run fails if
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
// All but the last are counts, so a slow machine does not fail. A seed gives the same faults
// at the same times. It prints a table, and exits with 1 where it fails; --dir then has, for
// each conversation with a fault, what happened in it.
package main
