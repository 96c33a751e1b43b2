package cli

import "github.com/urfave/cli/v2"

// webhookURLFlag is --webhook-url.
func webhookURLFlag(into *string) cli.Flag {
	return &cli.StringFlag{Name: "webhook-url", Destination: into, DefaultText: "none", Usage: "`URL` at which the service reaches the address of --webhook, such as that of a tunnel"}
}
