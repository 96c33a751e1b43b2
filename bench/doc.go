// Package bench benchmarks echocast: each stage from the bytes of an input to the bytes
// of its messages, and all stages together.
//
// Every benchmark has sub-benchmarks that do the same work on the same samples: echocast is
// our code. naive is a straightforward implementation (a struct, encoding/json,
// base64.EncodeToString). memcpy copies the samples, which is the lower bound. So ratios
// are computed within one run on one machine.
//
// MB/s counts samples as float32, four bytes each: the samples that go into a stage or, for
// decoding, come out of it. The samples are 16 MB, more than a second-level cache holds.
// One sample in 250 is beyond full scale.
//
// The programs in peers and report compare the whole tool with shell pipelines and
// write the tables of README.md. Nothing here is part of the tool.
package bench
