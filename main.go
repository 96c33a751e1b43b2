// Echocast speaks audio through a live video replica in echo mode.
//
// This file is the entry; the commands are in package cli.
package main

import (
	"os"

	"echocast/cli"
)

func main() { os.Exit(cli.Main(nil)) }
