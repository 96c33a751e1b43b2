package cli

import (
	"cmp"

	"github.com/urfave/cli/v2"

	"echocast/room/daily"
	rtcdaily "echocast/rtc/daily"
	"echocast/rtc/daily/core"
)

// dailyOptions say how Daily rooms are joined.
type dailyOptions struct {
	token       string // that came with the conversation
	core        string
	tokenFile   string
	chromium    string
	dailyJS     string
	callMachine string
}

func (d *dailyOptions) flags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "room-token-file", Destination: &d.tokenFile, DefaultText: "none", Usage: "`FILE` with the meeting token of a private Daily room"},
		&cli.StringFlag{Name: "daily-core", Destination: &d.core, EnvVars: []string{"DAILY_CORE_PATH"}, DefaultText: "looked for", Usage: "`PATH` of Daily's shared library, " + core.FileName() + ", or of the SDK's folder, to join Daily rooms without a browser"},
		&cli.StringFlag{Name: "chromium", Destination: &d.chromium, EnvVars: []string{"ECHOCAST_CHROMIUM"}, DefaultText: "looked for", Usage: "`PATH` of the browser that joins Daily rooms"},
		&cli.StringFlag{Name: "daily-js", Destination: &d.dailyJS, EnvVars: []string{"ECHOCAST_DAILY_JS"}, DefaultText: "release " + rtcdaily.Version + " from the public CDN", Usage: "a local `FILE` of Daily's library, dist/daily.js"},
		&cli.StringFlag{Name: "daily-call-machine", Destination: &d.callMachine, EnvVars: []string{"ECHOCAST_DAILY_CALL_MACHINE"}, DefaultText: "Daily's own", Usage: "`URL` of a folder that has Daily's call-machine-object-bundle.js"},
	}
}

// backend joins Daily rooms as the flags say.
func (d *dailyOptions) backend(warn warnFunc) (*daily.Backend, error) {
	token, err := secret("--room-token-file", d.tokenFile, "", warn)
	if err != nil {
		return nil, err
	}
	return &daily.Backend{Token: cmp.Or(token, d.token), Core: d.core, Chromium: d.chromium, DailyJS: d.dailyJS, CallMachine: d.callMachine}, nil
}
