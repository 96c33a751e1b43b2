// Package sharing has the options with which serve shares conversations with other nodes. It
// is separate from package cluster, which imports all of NATS.
package sharing

import (
	"crypto/x509"
	"net/url"
	"os"

	"github.com/urfave/cli/v2"

	"echocast/internal/option"
	"echocast/internal/text"
)

// Options say how serve shares conversations. The zero value shares none.
type Options struct {
	NATS      string // "embedded", or URLs separated by commas; empty: there are no other nodes
	Dir       string // of an embedded server
	Creds     string // file
	CA        string // file
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
		option.New(&o.CA, "nats-ca", "", "`FILE` (PEM) with the authorities that sign the certificates of NATS "+
			"(default: those of the system)"),
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
	case o.NATS == "" && (o.Dir+o.Creds+o.CA+o.Zone+o.Advertise != "" || o.Replicas != 1):
		return option.Errorf("--data, --nats-creds, --nats-ca, --nats-replicas, --zone and --advertise need --nats")
	case isEmbedded && o.Dir == "":
		return option.Errorf("--nats embedded needs --data DIRECTORY, where it keeps its files")
	case isEmbedded && (o.Creds != "" || o.CA != "" || o.Replicas != 1):
		return option.Errorf("--nats embedded is one server, that nobody else reaches: " +
			"leave out --nats-creds, --nats-ca and --nats-replicas")
	case !isEmbedded && o.Dir != "":
		return option.Errorf("--data is for --nats embedded")
	case o.Replicas < 1 || o.Replicas > 5:
		return option.Errorf("--nats-replicas must be from 1 to 5")
	case o.Advertise != "" && (err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https"):
		return option.Errorf("--advertise %s: it must be http://HOST:PORT or https://HOST:PORT", o.Advertise)
	}
	return o.checkFiles()
}

// checkFiles refuses files that cannot be read.
func (o *Options) checkFiles() error {
	for name, file := range map[string]string{"--nats-creds": o.Creds, "--nats-ca": o.CA} {
		if file == "" {
			continue
		}
		content, err := os.ReadFile(file)
		if err != nil {
			return option.Errorf("%s %s: %v", name, file, text.WithoutPath(err))
		}
		if name == "--nats-ca" && !x509.NewCertPool().AppendCertsFromPEM(content) {
			return option.Errorf("--nats-ca %s: there is no certificate (PEM) in it", file)
		}
	}
	return nil
}

// RefusedError says that NATS refuses what serve needs.
type RefusedError struct{ Err error }

func (e *RefusedError) Error() string { return e.Err.Error() }

// Unwrap returns the cause.
func (e *RefusedError) Unwrap() error { return e.Err }

// UnreachableError says that NATS cannot be reached.
type UnreachableError struct{ Err error }

func (e *UnreachableError) Error() string { return e.Err.Error() }

// Unwrap returns the cause.
func (e *UnreachableError) Unwrap() error { return e.Err }
