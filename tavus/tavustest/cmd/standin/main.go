// Command standin serves a stand-in for the Tavus API on this machine, so that
// conversations can be tried without an account:
//
//	go run ./tavus/tavustest/cmd/standin -key any &
//	TAVUS_API_KEY=any TAVUS_BASE_URL=http://127.0.0.1:8872 echocast send --pal p123 speech.wav
//
// It first prints its address. When a signal ends it, it prints what each replica received
// and played, one JSON object per line.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"echocast/tavus/tavustest"
)

func main() {
	address := flag.String("address", "127.0.0.1:8872", "where to listen")
	key := flag.String("key", "any", "the API key to take")
	latency := flag.Duration("latency", 100*time.Millisecond, "how long a message takes")
	flag.Parse()
	if err := serve(*address, *key, *latency); err != nil {
		log.Fatal(err)
	}
}

func serve(address, key string, latency time.Duration) error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	socket, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	fmt.Printf("http://%s\n", socket.Addr())
	service := &tavustest.Server{Key: key,
		AppMessages: tavustest.AppMessages{Latency: func() time.Duration { return latency }}}
	server := &http.Server{Handler: service, ReadHeaderTimeout: 5 * time.Second}
	defer context.AfterFunc(ctx, func() { _ = server.Close() })()
	if err := server.Serve(socket); err != http.ErrServerClosed {
		return err
	}
	lines := json.NewEncoder(os.Stdout)
	for _, report := range service.Close() {
		if err := lines.Encode(report); err != nil {
			return err
		}
	}
	return nil
}
