// Package version holds the library's version, as requests name it.
package version

// UserAgent is what every request to an endpoint says.
const UserAgent = "ringback/0.1.0"
