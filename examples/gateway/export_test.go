package main

// Run and ExitStatus are main's two halves, for tests in this process.
var (
	Run        = run
	ExitStatus = exitStatus
)
