//go:build linux

package main

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"testing"

	"echocast/cluster/natstest"
	"echocast/internal/proxytest"
	"echocast/internal/testwait"
)

// natsProcess is a server of NATS in a separate process.
type natsProcess struct {
	t      *testing.T
	orders io.Writer
	lines  *bufio.Reader

	name    string
	process *os.Process
	door    *proxytest.Proxy // where clients reach it, also after a restart
	cluster string           // where the others of its cluster reach it
	filler  string           // a file that fills its disk, if that is a small one
}

// startNATSOnSmallDisk starts a server with its files on a small disk. If routes is empty, it is
// alone.
func startNATSOnSmallDisk(t *testing.T, routes string) *natsProcess {
	t.Helper()
	dir := t.TempDir()
	n := startNATSProcess(t, onSmallDisk(t, dir), dir, routes)
	n.filler = fmt.Sprintf("/proc/%d/root%s/filler", n.process.Pid, dir)
	return n
}

// startNATSProcess starts a server by a program that runs its arguments, if there is one.
func startNATSProcess(t *testing.T, wrapper []string, dir, routes string) *natsProcess {
	t.Helper()
	command := append(wrapper, os.Args[0])
	program := exec.CommandContext(testwait.Context(t), command[0], command[1:]...)
	program.Env = append(os.Environ(), runsNATS+"="+dir, routesOfNATS+"="+routes)
	program.Stderr = os.Stderr
	in, err := program.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := program.StdoutPipe()
	if err == nil {
		err = program.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = in.Close()
		_ = program.Wait() // after a failure it may have been killed
	})
	n := &natsProcess{
		t: t, orders: in, lines: bufio.NewReader(out), name: nameOfNATS(dir), process: program.Process,
		door: natstest.NewProxy(t, ""),
	}
	n.follow()
	return n
}

// url is where clients reach it.
func (n *natsProcess) url() string { return "nats://" + n.door.Address() }

// restart ends the server, and starts it again with the same files.
func (n *natsProcess) restart() {
	n.t.Helper()
	n.order(restartNATS)
	n.follow()
}

// follow reads where the server listens.
func (n *natsProcess) follow() {
	n.t.Helper()
	client := ""
	if _, err := fmt.Sscan(n.answer(), &client, &n.cluster); err != nil {
		n.t.Fatal(err)
	}
	n.door.Lead(client)
}

// hasJetStream reports whether the server stores anything.
func (n *natsProcess) hasJetStream() bool {
	n.t.Helper()
	n.order(askNATS)
	return n.answer() == "true\n"
}

func (n *natsProcess) order(order string) {
	n.t.Helper()
	if _, err := fmt.Fprintln(n.orders, order); err != nil {
		n.t.Fatal(err)
	}
}

func (n *natsProcess) answer() string {
	n.t.Helper()
	line, err := n.lines.ReadString('\n')
	if err != nil {
		n.t.Fatal(err)
	}
	return line
}

// makeRoom removes what fills the disk.
func (n *natsProcess) makeRoom() {
	n.t.Helper()
	if err := os.Remove(n.filler); err != nil {
		n.t.Fatal(err)
	}
}

// A single server of NATS with a full disk writes again when there is room and it was restarted.
// Until then the gateway accepts nothing; then it continues by itself. What it had acknowledged
// is said.
func TestFullDiskOfNATS(t *testing.T) {
	t.Parallel()
	for name, isSaid := range map[string]bool{"while it speaks": false, "when all is said": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n := startNATSOnSmallDisk(t, "")
			node := startGateway(t, nil, "--rehearse", "--nats", n.url())
			conversation := node.create(t, `{"to":"rehearsal"}`)
			said := node.say(t, conversation, ramp(3))
			if isSaid {
				node.waitOver(t, conversation, said)
			}
			fill(t, n.filler)
			node.awaitRefusals(t, conversation, func() {})
			n.makeRoom()
			n.restart()
			node.checkFinished(t, conversation, said, node.say(t, conversation, ramp(1)))
			await(t, func() bool { return node.isReady(t) })
		})
	}
}

// A disk that was full for a moment leaves a NATS that writes to all streams but that of the
// audio, the largest one. The leases are renewed, so the conversation stays where it is. It
// speaks again when that server was restarted.
func TestNATSThatStopsToStoreAudio(t *testing.T) {
	t.Parallel()
	n := startNATSOnSmallDisk(t, "")
	node := startGateway(t, nil, "--rehearse", "--nats", n.url())
	conversation := node.create(t, `{"to":"rehearsal"}`)
	said := node.say(t, conversation, ramp(1))
	hasRoom := fillForAMoment(t, n.filler)
	node.awaitRefusals(t, conversation, func() {})
	testwait.Receive(t, hasRoom)
	n.restart()
	node.checkFinished(t, conversation, said, node.say(t, conversation, ramp(1)))
	await(t, func() bool { return node.isReady(t) })
}

// If the disk of one of three servers is full, that one stores nothing until it is restarted, also
// when there is room again. The others continue. After the restart, one of them may end.
func TestFullDiskOfOneNATSOfThree(t *testing.T) {
	t.Parallel()
	doors, routes := natstest.Doors(t)
	n := startNATSOnSmallDisk(t, routes)
	doors[2].Lead(n.cluster)
	first, second := natstest.Start(t, natstest.Member("n1", routes)), natstest.Start(t, natstest.Member("n2", routes))
	doors[0].Lead(first.ClusterAddr().String())
	doors[1].Lead(second.ClusterAddr().String())
	urls := n.url() + "," + natstest.URLs(first, second)
	node := startGateway(t, nil, "--rehearse", "--nats", urls, "--nats-replicas", "3")
	conversation := node.create(t, `{"to":"rehearsal"}`)
	said := []string{node.say(t, conversation, ramp(1))}
	fill(t, n.filler)
	said = append(said, node.say(t, conversation, ramp(3)))
	await(t, func() bool { return !n.hasJetStream() })
	said = append(said, node.say(t, conversation, ramp(1)))
	n.makeRoom()
	if n.hasJetStream() {
		t.Error("it starts again by itself")
	}
	n.restart()
	doors[2].Lead(n.cluster)
	first.Shutdown()
	first.WaitForShutdown()
	said = append(said, node.say(t, conversation, ramp(1)))
	node.checkFinished(t, conversation, said...)
}
