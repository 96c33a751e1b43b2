// Package sharing has the options with which serve shares conversations with other nodes. It
// is separate from package cluster, which imports all of NATS.
package sharing

import (
	"net/url"

	"github.com/urfave/cli/v2"

	"echocast/internal/option"
)

// Options say how serve shares conversations. The zero value shares none.
type Options struct {
	NATS      string // "embedded", or URLs separated by commas; empty: there are no other nodes
	Dir       string // of an embedded server
	Creds     string // file
	Replicas  int    // of each stream
	Zone      string
	Advertise string // URL of this node
}

// Flags returns the options of the command line.
func (o *Options) Flags() []cli.Flag {
	return []cli.Flag{
		option.New(&o.NATS, "nats", "", "keep conversations in NATS, so that they outlive this process: `URL`s separated "+
			"by commas, or embedded (default: none)"),
		option.New(&o.Dir, "data", "", "`DIRECTORY` of an embedded NATS"),
		option.New(&o.Creds, "nats-creds", "", "`FILE` with the credentials for NATS (default: none)"),
		option.New(&o.Replicas, "nats-replicas", 1, "keep everything on `N` servers of NATS"),
		option.New(&o.Zone, "zone", "", "`LABEL` of this node: conversations stay among nodes of one label"),
		option.New(&o.Advertise, "advertise", "", "`URL` at which other nodes reach this one (default: that of --listen)"),
	}
}

// Check refuses options that contradict each other.
func (o *Options) Check() error {
	isEmbedded := o.NATS == "embedded"
	u, err := url.Parse(o.Advertise)
	switch {
	case o.NATS == "" && (o.Dir != "" || o.Creds != "" || o.Zone != "" || o.Advertise != "" || o.Replicas != 1):
		return option.Errorf("--data, --nats-creds, --nats-replicas, --zone and --advertise need --nats")
	case isEmbedded && o.Dir == "":
		return option.Errorf("--nats embedded needs --data DIRECTORY, where it keeps its files")
	case isEmbedded && (o.Creds != "" || o.Replicas != 1):
		return option.Errorf("--nats embedded is one server, that nobody else reaches: " +
			"leave out --nats-creds and --nats-replicas")
	case !isEmbedded && o.Dir != "":
		return option.Errorf("--data is for --nats embedded")
	case o.Replicas < 1 || o.Replicas > 5:
		return option.Errorf("--nats-replicas must be from 1 to 5")
	case o.Advertise != "" && (err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https"):
		return option.Errorf("--advertise %s: it must be http://HOST:PORT or https://HOST:PORT", o.Advertise)
	}
	return nil
}
