//go:build race

package main_test

// raceBuild has the service built with the race detector, as the test is.
const raceBuild = true
