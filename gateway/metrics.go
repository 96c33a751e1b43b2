package gateway

import (
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"echocast/echo"
)

// metrics are the metrics for Prometheus. Their labels are kinds of rooms, outcomes and
// reasons: few values, and no ids.
type metrics struct {
	registry   *prometheus.Registry
	created    *prometheus.CounterVec   // kind
	refused    *prometheus.CounterVec   // reason
	utterances *prometheus.CounterVec   // kind, outcome
	underruns  *prometheus.CounterVec   // kind
	interrupts *prometheus.CounterVec   // kind
	bytes      *prometheus.CounterVec   // kind
	lostAudio  prometheus.Counter       // seconds
	bots       *prometheus.CounterVec   // carrier, outcome
	late       *prometheus.HistogramVec // kind
	firstAudio *prometheus.HistogramVec // kind
}

// lateBounds are the classes of the histogram of lateness, in seconds.
var lateBounds = []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5}

func newMetrics(g *Gateway) *metrics {
	m := &metrics{registry: prometheus.NewRegistry()}
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		v := prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: "echocast", Name: name, Help: help}, labels)
		m.registry.MustRegister(v)
		return v
	}
	histogram := func(name, help string, bounds []float64) *prometheus.HistogramVec {
		o := prometheus.HistogramOpts{Namespace: "echocast", Name: name, Help: help, Buckets: bounds}
		v := prometheus.NewHistogramVec(o, []string{"kind"})
		m.registry.MustRegister(v)
		return v
	}
	gauge := func(name, help string, value func() float64) {
		o := prometheus.GaugeOpts{Namespace: "echocast", Name: name, Help: help}
		m.registry.MustRegister(prometheus.NewGaugeFunc(o, value))
	}
	m.created = counter("conversations_created_total", "Conversations that were begun, by kind of room.", "kind")
	m.refused = counter("conversations_refused_total", "Conversations that were refused, by reason.", "reason")
	m.utterances = counter("utterances_total", "Utterances that are over, by outcome.", "kind", "outcome")
	m.underruns = counter("underruns_total", "How often replicas ran out of audio.", "kind")
	m.interrupts = counter("interrupts_total", "Utterances that were interrupted.", "kind")
	m.bytes = counter("sent_bytes_total", "Bytes of the messages of audio.", "kind")
	m.lostAudio = prometheus.NewCounter(prometheus.CounterOpts{
		Namespace: "echocast", Name: "lost_audio_seconds_total", Help: "Audio that slow listeners lost.",
	})
	m.registry.MustRegister(m.lostAudio)
	m.bots = counter("bot_calls_total", "Calls of bots that are over, and how.", "carrier", "outcome")
	m.late = histogram("chunk_lateness_seconds", "How long after they were due chunks were ready to be sent.", lateBounds)
	m.firstAudio = histogram("first_audio_seconds", "Time from the first message to the event that the replica speaks.",
		prometheus.ExponentialBuckets(.01, 2, 11))
	m.registry.MustRegister(&conversationCollector{g})
	m.registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	gauge("admission_slots", "How many conversations may be open.", func() float64 {
		return float64(g.options.MaxConversations)
	})
	gauge("admission_slots_used", "How many conversations are open.", func() float64 { return float64(len(g.List())) })
	gauge("lateness_p99_seconds", "Lateness that 99 of 100 chunks of the last seconds did not exceed.", func() float64 {
		return g.late.p99(time.Now()).Seconds()
	})
	gauge("ready", "Whether conversations can be created: 1 or 0.", func() float64 {
		if g.admits() != nil {
			return 0
		}
		return 1
	})
	return m
}

// handler returns the handler that serves the metrics.
func (m *metrics) handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{})
}

// conversationCollector counts the conversations by kind and state when it is asked.
type conversationCollector struct{ gateway *Gateway }

var conversationsDesc = prometheus.NewDesc("echocast_conversations", "Conversations that have not ended.",
	[]string{"kind", "state"}, nil)

func (c *conversationCollector) Describe(to chan<- *prometheus.Desc) { to <- conversationsDesc }

func (c *conversationCollector) Collect(to chan<- prometheus.Metric) {
	type key struct{ kind, state string }
	counts := map[key]int{}
	for _, conversation := range c.gateway.List() {
		info := conversation.Info()
		counts[key{info.Kind, string(info.State)}]++
	}
	for k, n := range counts {
		to <- prometheus.MustNewConstMetric(conversationsDesc, prometheus.GaugeValue, float64(n), k.kind, k.state)
	}
}

// observe counts what happens in a session. It does not block.
func (c *Conversation) observe(m echo.Moment) {
	if m.Kind != echo.MomentChunk {
		return
	}
	c.meters.bytes.Add(float64(m.Bytes))
	c.meters.late.Observe(m.Late.Seconds())
	c.gateway.late.add(m.At, m.Late)
	if m.Position == 0 || m.Last {
		c.traceSent(&m)
	}
}

// meters are the metrics of a kind of room that change with each chunk.
type meters struct {
	bytes prometheus.Counter
	late  prometheus.Observer
}

func (m *metrics) of(kind string) meters {
	return meters{bytes: m.bytes.WithLabelValues(kind), late: m.late.WithLabelValues(kind)}
}

// count counts the receipt of an utterance, or of a part of one.
func (m *metrics) count(kind string, r *echo.Receipt) {
	m.utterances.WithLabelValues(kind, string(r.Outcome)).Inc()
	m.underruns.WithLabelValues(kind).Add(float64(r.Underruns))
	if r.Outcome == echo.Interrupted {
		m.interrupts.WithLabelValues(kind).Inc()
	}
	if r.FirstAudioSeconds >= 0 {
		m.firstAudio.WithLabelValues(kind).Observe(r.FirstAudioSeconds)
	}
}
