// Package bench benchmarks echocast: each stage from the bytes of an input to the bytes
// of its messages, and all stages together.
//
// Every benchmark has sub-benchmarks that do the same work on the same samples:
// echocast is our code, naive a straightforward implementation (a struct,
// encoding/json, base64.EncodeToString), and memcpy copies the samples, which is the
// lower bound. So a ratio is taken within one run on one machine.
//
// MB/s counts samples as float32, four bytes each: those that go into a stage,
// or, for decoding, those that come out of it. The samples are 16 MB, more than
// a second-level cache holds, and one in 250 is beyond full scale.
//
// The programs in peers and report compare the whole tool with shell pipelines and
// write the tables of README.md. Nothing here is part of the tool.
package bench
