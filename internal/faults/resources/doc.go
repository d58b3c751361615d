// Package resources holds the scenarios of engines that are short of something,
// and those that show how little one takes.
package resources
