package main

import (
	"bufio"
	"fmt"
	"log"
	"os"
	"path/filepath"

	"github.com/nats-io/nats-server/v2/server"

	"echocast/cluster/natstest"
)

// runsNATS is the directory of the server of NATS that this test binary is to be, and routesOfNATS
// are the routes of its cluster; empty: it is alone.
const (
	runsNATS     = "ECHOCAST_TEST_RUNS_NATS"
	routesOfNATS = "ECHOCAST_TEST_NATS_ROUTES"
)

// Orders to the server, each a line of its stdin. It answers each with a line of stdout: where it
// listens for clients and for its cluster, and whether it has JetStream.
const (
	restartNATS = "restart"
	askNATS     = "ask"
)

// runNATS is a server of NATS until stdin ends.
func runNATS(dir, routes string) {
	orders := bufio.NewScanner(os.Stdin)
	for {
		s := startIn(dir, routes)
		fmt.Println(s.Addr(), s.ClusterAddr())
		for orders.Scan() && orders.Text() == askNATS {
			fmt.Println(s.JetStreamEnabled())
		}
		s.Shutdown()
		s.WaitForShutdown()
		if orders.Text() != restartNATS {
			os.Exit(0)
		}
	}
}

// nameOfNATS is the name of the server with a directory.
func nameOfNATS(dir string) string { return "process-" + filepath.Base(dir) }

func startIn(dir, routes string) *server.Server {
	o := &server.Options{}
	if routes != "" {
		o = natstest.Member(nameOfNATS(dir), routes)
	}
	o.StoreDir = dir
	s, err := natstest.Run(o)
	if err != nil {
		log.Fatal(err)
	}
	return s
}
