// Package shutdown holds the scenarios of engines that are told to end.
package shutdown
