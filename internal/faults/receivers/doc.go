// Package receivers holds the scenarios of receivers that misbehave, each with
// a real engine, mostly in a process of its own.
package receivers
