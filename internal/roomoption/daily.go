package roomoption

import (
	"github.com/urfave/cli/v2"

	"echocast/internal/option"
	"echocast/internal/output"
	"echocast/room/daily"
	rtcdaily "echocast/rtc/daily"
	"echocast/rtc/daily/core"
)

// Daily has the options of Daily rooms.
type Daily struct {
	core        string
	tokenFile   string
	chromium    string
	dailyJS     string
	callMachine string
}

// Flags returns the flags of commands that join Daily rooms.
func (d *Daily) Flags() []cli.Flag {
	return []cli.Flag{
		option.New(&d.tokenFile, "room-token-file", "", "`FILE` with the meeting token of a private Daily room (default: "+
			"none)"),
		option.New(&d.core, "daily-core", "", "`PATH` of Daily's shared library, "+core.FileName()+", or of the SDK's "+
			"folder, to join Daily rooms without a browser (default: looked for) [$DAILY_CORE_PATH]"),
		option.New(&d.chromium, "chromium", "", "`PATH` of the browser that joins Daily rooms (default: looked for)"),
		option.New(&d.dailyJS, "daily-js", "", "a local `FILE` of Daily's library, dist/daily.js (default: release "+
			rtcdaily.Version+" from the public CDN)"),
		option.New(&d.callMachine, "daily-call-machine", "", "`URL` of a folder that has Daily's "+
			"call-machine-object-bundle.js (default: Daily's own)"),
	}
}

// Backend returns the Backend that joins Daily rooms with these options.
func (d *Daily) Backend(warn output.WarnFunc) (*daily.Backend, error) {
	token, err := option.Secret("--room-token-file", d.tokenFile, "", warn)
	if err != nil {
		return nil, err
	}
	return &daily.Backend{Token: token, Core: d.core, Chromium: d.chromium, DailyJS: d.dailyJS,
		CallMachine: d.callMachine}, nil
}
