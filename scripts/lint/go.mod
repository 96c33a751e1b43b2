module echocast/scripts/lint

go 1.26.0

require (
	github.com/nishanths/predeclared v0.3.1
	github.com/sivchari/containedctx v1.0.3
	golang.org/x/tools v0.52.0
)

require (
	golang.org/x/sync v0.24.0 // indirect
	golang.org/x/text v0.28.0 // indirect
)
