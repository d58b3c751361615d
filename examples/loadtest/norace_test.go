//go:build !race

package main_test

const events = "300"
