// Package clients tests the clients of the gateway. The folder js holds the client for
// TypeScript and JavaScript, in browsers and Node.js; the folder python holds the client for
// Python, one file without dependencies.
package clients
