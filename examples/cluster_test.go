package examples

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/nats-io/nats-server/v2/server"
	"go.yaml.in/yaml/v3"

	"echocast/gateway"
)

// object is a document of kubernetes.yaml. make manifests checks each against its schema;
// the tests here check what one document says of another, and of echocast.
type object map[string]any

// at is a value by its path, such as spec.ports.0.name; nil if there is none.
func (o object) at(path string) any {
	var value any = o
	for name := range strings.SplitSeq(path, ".") {
		switch v := value.(type) {
		case map[string]any:
			value = v[name]
		case object:
			value = v[name]
		case []any:
			value = nil
			var i int
			if _, err := fmt.Sscan(name, &i); err == nil && i < len(v) {
				value = v[i]
			}
		default:
			return nil
		}
	}
	return value
}

func (o object) name() string { return fmt.Sprint(o["kind"], " ", o.at("metadata.name")) }

// readObjects are the documents of kubernetes.yaml by kind and name.
func readObjects(t *testing.T) map[string]object {
	t.Helper()
	file, err := os.ReadFile("cluster/kubernetes.yaml")
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]object{}
	for decoder := yaml.NewDecoder(bytes.NewReader(file)); ; {
		var o object
		if err := decoder.Decode(&o); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			t.Fatal(err)
		}
		all[o.name()] = o
	}
}

const container = "spec.template.spec.containers.0."

func TestKubernetesObjectsBelongTogether(t *testing.T) {
	all := readObjects(t)
	for workload, app := range map[string]string{"Deployment echocast": "echocast", "StatefulSet nats": "nats"} {
		o := all[workload]
		if o.at("spec.template.metadata.labels.app") != app || o.at("spec.selector.matchLabels.app") != app {
			t.Errorf("%s does not select its pods", workload)
		}
		if all["Service "+app].at("spec.selector.app") != app {
			t.Errorf("no service finds the pods of %s", workload)
		}
		for _, kind := range []string{"PodDisruptionBudget ", "NetworkPolicy "} {
			selector := all[kind+app].at("spec.selector.matchLabels.app")
			if pods := all[kind+app].at("spec.podSelector.matchLabels.app"); selector != app && pods != app {
				t.Errorf("no %sis for the pods of %s", kind, workload)
			}
		}
		ports := fmt.Sprint(o.at(container + "ports"))
		for _, probe := range []string{"startupProbe", "readinessProbe", "livenessProbe"} {
			port := fmt.Sprint("name:", o.at(container+probe+".httpGet.port"))
			if !strings.Contains(ports, port) {
				t.Errorf("the %s of %s asks a port that it does not have", probe, workload)
			}
		}
	}
	target := all["HorizontalPodAutoscaler echocast"].at("spec.scaleTargetRef.name")
	if all[fmt.Sprint("Deployment ", target)] == nil {
		t.Errorf("what is scaled does not exist: %v", target)
	}
}

// The probes, the metric and the options in the manifests are those of echocast.
func TestManifestsMatchEchocast(t *testing.T) {
	g := gateway.New(nil)
	t.Cleanup(func() { g.Close(t.Context()) })
	all := readObjects(t)
	answer := func(path string) (int, string) {
		w := httptest.NewRecorder()
		g.Handler().ServeHTTP(w, httptest.NewRequest("GET", "http://127.0.0.1"+path, nil))
		return w.Code, w.Body.String()
	}
	for _, probe := range []string{"startupProbe", "readinessProbe", "livenessProbe"} {
		path := fmt.Sprint(all["Deployment echocast"].at(container + probe + ".httpGet.path"))
		if code, body := answer(path); code != 200 {
			t.Errorf("the %s gets %d %s", probe, code, body)
		}
	}
	metric := fmt.Sprint(all["HorizontalPodAutoscaler echocast"].at("spec.metrics.0.pods.metric.name"))
	if _, body := answer("/metrics"); !strings.Contains(body, "\n"+metric+" ") {
		t.Errorf("there is no metric %s", metric)
	}
	help, err := os.ReadFile("../cli/testdata/help-80.txt")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range []string{"cluster/kubernetes.yaml", "cluster/compose.yaml"} {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		options := regexp.MustCompile(`[ "]--([a-z-]+)`).FindAllStringSubmatch(string(text), -1)
		if len(options) < 6 {
			t.Errorf("%s: options %v", file, options)
		}
		for _, option := range options {
			if !strings.Contains(string(help), "  --"+option[1]+" ") {
				t.Errorf("%s: there is no option --%s", file, option[1])
			}
		}
	}
}

// The NATS server reads both configurations, and its store is larger than what echocast
// stores.
func TestNATSConfigurations(t *testing.T) {
	compose, err := os.ReadFile("cluster/nats.conf")
	if err != nil {
		t.Fatal(err)
	}
	configMap := readObjects(t)["ConfigMap nats"].at("data").(object)
	t.Setenv("NAME", "nats-1")
	t.Setenv("ROUTES", "[nats://nats-1:6222, nats://nats-2:6222, nats://nats-3:6222]")
	for name, text := range map[string]string{
		"nats.conf": string(compose), "kubernetes.yaml": fmt.Sprint(configMap["nats.conf"]),
	} {
		file := filepath.Join(t.TempDir(), "nats.conf")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		o, err := server.ProcessConfigFile(file)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if o.ServerName != "nats-1" || len(o.Routes) != 3 || o.Cluster.Port != 6222 || o.HTTPPort != 8222 ||
			o.StoreDir != "/data" {
			t.Errorf("%s: name %q, %d routes, store %s", name, o.ServerName, len(o.Routes), o.StoreDir)
		}
		if o.JetStreamMaxStore < 5<<30 {
			t.Errorf("%s: a store of %d bytes", name, o.JetStreamMaxStore)
		}
	}
}
