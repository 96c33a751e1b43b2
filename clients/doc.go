// Package clients tests the clients of the gateway, in folders of their own: js for
// TypeScript and JavaScript, in browsers and Node.js, and python, one file without
// dependencies.
package clients
